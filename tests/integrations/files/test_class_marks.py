"""Marks of complete classes in file projects: under current names, in versions, in pushes."""

from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.formats import read_dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.files.annotation_files import identify, with_present_names
from sparsedet.integrations.files.coco_files import CocoFiles
from sparsedet.reviews import Changes
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.formats.datasets import write_images
from tests.integrations.files.samples import read, write

BUS, CAR, VAN = 1, 2, 3
CATEGORIES = (Category(BUS, "bus"), Category(CAR, "car"), Category(VAN, "van"))


def dataset(*complete: int) -> Dataset:
    image = Image(1, "a.png", 120, 80, complete_classes=frozenset(complete))
    return Dataset((image,), (Box(1, 1, BUS, (10, 10, 30, 30)),), CATEGORIES)


def marks(given: Dataset, **rename: str) -> set[str]:
    """Return the names of the complete classes after classes were renamed."""
    found = with_present_names(given, rename)
    return {found.category_by_id[id].name for id in found.images[0].complete_classes}


def test_marks_follow_renamed_classes() -> None:
    assert marks(dataset(BUS, VAN), bus="coach") == {"coach", "van"}
    # What is left out is no class any more.
    assert marks(dataset(BUS, VAN), bus="") == {"van"}
    # Two that are one now: it is complete only where both are.
    assert marks(dataset(BUS, VAN), van="car") == {"bus"}
    assert marks(dataset(CAR, VAN), van="car") == {"car"}


def test_a_mark_is_a_change_of_its_image() -> None:
    versions = {identify(dataset(*ids)).images[0].tool_version for ids in ((), (1,), (2,), (1, 2))}
    assert len(versions) == 4
    # Names count, not ids, which other tools renumber.
    renumbered = replace(
        dataset(7),
        categories=(*CATEGORIES[1:], Category(7, "bus")),
        boxes=(Box(1, 1, 7, (10, 10, 30, 30)),),
    )
    assert (
        identify(renumbered).images[0].tool_version == identify(dataset(BUS)).images[0].tool_version
    )


def test_a_pull_has_the_marks_of_the_file(tmp_path: Path) -> None:
    given = dataset(BUS, VAN)
    write_images(given, tmp_path / "cars/images")
    write_coco(given, tmp_path / "cars/annotations.json")
    pulled = FilesTool(str(tmp_path)).pull("cars", tmp_path / "pulled")
    assert pulled.images[0].complete_classes == {BUS, VAN}
    assert read_coco(tmp_path / "cars/annotations.json").images == given.images


DAY, NIGHT = "day/a.png", "night/b.png"


def reviewed(judged: Pulled, image: str, *names: str, renumbered: bool = False) -> frozenset[str]:
    """Mark classes of an image in `reviewed.json`; return what is read of it."""
    path = judged.version() / "reviewed.json"
    content = read(path)
    if renumbered:
        for entry in (*content["categories"], *content["annotations"]):
            key = "id" if "name" in entry else "category_id"
            entry[key] = 3 - entry[key]
    ids = {category["name"]: category["id"] for category in content["categories"]}
    for entry in content["images"]:
        if entry["file_name"] == image:
            entry["complete_classes"] = [ids[name] for name in names]
    write(path, content)
    (review,) = (r for r in judged.memory.read().reviews if r.tool_id == image)
    return review.complete_classes


def test_a_review_marks_classes_by_their_ids(judged: Pulled) -> None:
    assert reviewed(judged, NIGHT, "bus") == {"bus"}
    assert reviewed(judged, NIGHT, "bus", "car", renumbered=True) == {"bus", "car"}
    assert reviewed(judged, NIGHT, "car") == {"car"}
    assert reviewed(judged, NIGHT) == set()


def test_marks_that_were_offered_mean_what_they_did_after_another_tool(pulled: Pulled) -> None:
    """It has numbered the categories again, and kept the key, which it doesn't know."""
    content = read(pulled.annotations)
    (bus,) = (entry["id"] for entry in content["categories"] if entry["name"] == "bus")
    content["images"][0]["complete_classes"] = [bus]
    write(pulled.annotations, content)
    marked = replace(pulled, dataset=pulled.tool.pull("cars", pulled.images))
    marked.push()
    back = read(marked.version() / "to_review.json")
    for category in back["categories"]:
        category["id"] = 3 - category["id"]
    write(marked.version() / "reviewed.json", back)
    marks = {r.tool_id: r.complete_classes for r in marked.memory.read().reviews}
    assert marks == {DAY: {"bus"}, NIGHT: frozenset()}


def test_a_merge_writes_marks_and_an_undo_takes_them_back(judged: Pulled) -> None:
    before = read(judged.annotations)
    reviewed(judged, NIGHT, "bus")
    merged = judged.memory.merge()
    assert merged[NIGHT].changes.completed_classes == {"bus"}
    (bus,) = (entry["id"] for entry in before["categories"] if entry["name"] == "bus")
    after = read(judged.annotations)
    assert after["images"][1] == {**before["images"][1], "complete_classes": [bus]}
    pulled = judged.tool.pull("cars", judged.images)
    (night,) = (image for image in pulled.images if image.file_name == NIGHT)
    assert (night.complete_classes, night.exhaustive) == ({bus}, False)
    assert night.tool_version == merged[NIGHT].version

    assert judged.memory.restore() == {}
    assert read(judged.annotations)["images"] == before["images"]


def test_a_mark_of_two_classes_that_are_one_now_is_written_for_both(tmp_path: Path) -> None:
    write_coco(dataset(CAR), tmp_path / "annotations.json")
    files = CocoFiles(tmp_path / "annotations.json", {"van": "truck", "bus": "truck"})
    files.prepare({"a.png": Changes(completed_classes=frozenset({"truck"}))}).write()
    assert read(tmp_path / "annotations.json")["images"][0]["complete_classes"] == [BUS, CAR, VAN]


def test_a_merged_mark_keeps_those_of_lvis(tmp_path: Path) -> None:
    file = tmp_path / "annotations.json"
    write_coco(dataset(), file)
    content = read(file)
    content["images"][0] |= {"neg_category_ids": [CAR], "not_exhaustive_category_ids": []}
    write(file, content)
    files = CocoFiles(file, {})
    assert files.dataset.images[0].complete_classes == {BUS, CAR}
    before = files.content_of("a.png")
    files.prepare({"a.png": Changes(completed_classes=frozenset({"van"}))}).write()
    assert read_coco(file).images[0].complete_classes == {BUS, CAR, VAN}
    CocoFiles(file, {}).put_back({"a.png": before})
    assert read(file) == content


def test_splits_that_number_classes_differently_keep_their_marks(tmp_path: Path) -> None:
    given = dataset(BUS)
    write_coco(given, tmp_path / "train.json")
    other = replace(
        given,
        images=(Image(1, "b.png", 120, 80, complete_classes=frozenset({CAR})),),
        boxes=(),
        categories=(Category(BUS, "car"), Category(CAR, "bus"), Category(VAN, "tram")),
    )
    write_coco(other, tmp_path / "val.json")
    both = read_dataset(tmp_path, format="coco").dataset
    names = {category.id: category.name for category in both.categories}
    assert [{names[id] for id in image.complete_classes} for image in both.images] == [
        {"bus"},
        {"bus"},
    ]


def test_an_accepted_box_marks_no_class_of_an_image_of_lvis(pulled: Pulled) -> None:
    content = read(pulled.annotations)
    content["images"][1] |= {"neg_category_ids": [], "not_exhaustive_category_ids": [1]}
    write(pulled.annotations, content)
    marked = replace(pulled, dataset=pulled.tool.pull("cars", pulled.images))
    assert marked.dataset.image_by_id[9].complete_classes == frozenset()
    marked.push()
    night = next(r for r in marked.tool.open_reviews("cars/review") if r.tool_id == NIGHT)
    night.submit([replace(region, category="bus") for region in night.regions])
    (review,) = marked.memory.read().reviews
    assert review.complete_classes == frozenset()
    # Nor once it is merged.
    marked.memory.merge()
    assert read(pulled.annotations)["images"][1]["not_exhaustive_category_ids"] == [1, 2]
    again = marked.tool.pull("cars", marked.images)
    assert again.image_by_id[9].complete_classes == frozenset()
