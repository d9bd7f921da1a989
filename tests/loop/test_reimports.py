"""Image ids that name other images now, since servers reuse ids."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from sparsedet.annotations import Dataset, Image
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.reimports import follow_reimports
from tests.loop.small_project import (
    FREE,
    HUMAN,
    MINED,
    SIZE,
    SmallProject,
    boxes_of,
    draw,
    picture,
    without,
)


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def pulled_as(project: SmallProject, pictures: dict[str, int], *, scale: float = 1) -> Dataset:
    """A pull in which each id (a.png, ...) shows the picture of that number, in another file."""
    images = []
    for number, (tool_id, shown) in enumerate(pictures.items(), start=1):
        pixels = cv2.resize(picture(shown), None, fx=scale, fy=scale)
        name = f"new-{tool_id}"
        assert cv2.imwrite(str(project.workspace.images / name), pixels)
        height, width = pixels.shape[:2]
        images.append(Image(number, name, width, height, tool_id=tool_id))
    return replace(project.dataset, images=tuple(images), boxes=())


def follow(project: SmallProject, ledger: Ledger, pulled: Dataset) -> None:
    follow_reimports(
        ledger,
        project.connections,
        project.source,
        pulled,
        project.workspace.images,
        project.said.append,
    )


def ids_after(project: SmallProject, pulled: Dataset) -> dict[str, str]:
    """Mined box -> id of its image, for the boxes that were right."""
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        return {
            box.region_id.removeprefix("v1-right-"): box.image_tool_id
            for box in ledger.boxes()
            if "right" in box.region_id
        }


def test_ids_that_changed_places(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 2, "b.png": 3, "c.png": 1})
    assert ids_after(project, pulled) == {"a.png": "c.png", "b.png": "a.png", "c.png": "b.png"}
    assert any("3 images were imported again" in line for line in project.said)


def test_an_id_that_was_given_to_another_picture(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 7, "b.png": 2, "c.png": 3})
    assert ids_after(project, pulled) == {"a.png": "-a.png", "b.png": "b.png", "c.png": "c.png"}
    assert any("new content" in line for line in project.said)


def test_an_image_that_could_not_be_read_was_not_imported_again(project: SmallProject) -> None:
    # d.png is a copy of a.png, which is still in the project.
    pulled = pulled_as(project, {"d.png": 1, "b.png": 2, "c.png": 3})
    unread = replace(pulled, unread=frozenset({"a.png"}))
    assert ids_after(project, unread) == {"a.png": "a.png", "b.png": "b.png", "c.png": "c.png"}
    assert ids_after(project, pulled)["a.png"] == "d.png"


def test_the_same_picture_in_another_size_keeps_its_id(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "c.png": 3}, scale=2)
    assert pulled.images[0].width == 2 * SIZE[0]
    assert ids_after(project, pulled) == {name: name for name in ("a.png", "b.png", "c.png")}


def test_images_that_were_queued_without_boxes_are_known_too(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1", [], queue=[QueueEntry(image.id) for image in project.dataset.images])
    pulled = pulled_as(project, {"a.png": 2, "b.png": 3, "c.png": 1})
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        queued = [image.image_tool_id for image in ledger.queued()]
    assert queued == ["c.png", "a.png", "b.png"]


def test_images_without_boxes_may_have_another_size_too(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1", [], queue=[QueueEntry(image.id) for image in project.dataset.images])
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "c.png": 7}, scale=2)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        queued = [image.image_tool_id for image in ledger.queued()]
    assert queued == ["a.png", "b.png", "-c.png"]


def test_an_image_that_the_choice_leaves_out_is_not_gone(project: SmallProject) -> None:
    """The same picture under another id is another image then."""
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "d.png": 3})
    chosen = replace(pulled, left_out=frozenset({"c.png"}))
    assert ids_after(project, chosen) == {"a.png": "a.png", "b.png": "b.png", "c.png": "c.png"}
    assert ids_after(project, pulled)["c.png"] == "d.png"


def replace_picture(project: SmallProject, name: str, number: int, size: tuple[int, int]) -> None:
    """Put another picture into the file of an image of the project."""
    folder = project.annotations.parent
    path = folder / "images" / name
    path.unlink()
    assert cv2.imwrite(str(path), cv2.resize(picture(number), size))
    content = json.loads(project.annotations.read_text(encoding="utf-8"))
    for image in content["images"]:
        if image["file_name"] == name:
            image["width"], image["height"] = size
    project.annotations.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("scale", [1, 2])
def test_a_picture_replaced_under_its_name_is_said_once(project: SmallProject, scale: int) -> None:
    project.review("a.png")
    replace_picture(project, "a.png", 7, (scale * SIZE[0], scale * SIZE[1]))
    for _ in range(2):
        seen = boxes_of(project.pull().dataset)
        assert ("cat", tuple(scale * edge for edge in MINED)) in seen["a.png"]
        said = [line for line in project.said if "other content" in line]
        assert len(said) == 1
        assert said[0].startswith("1 image has other content than when it was pushed")
    replace_picture(project, "a.png", 8, SIZE)
    project.pull()
    assert len([line for line in project.said if "other content" in line]) == 2


def test_reviews_of_a_picture_do_not_apply_to_one_of_another_shape(project: SmallProject) -> None:
    project.review("a.png", draw(FREE))
    before = project.source_boxes()
    replace_picture(project, "a.png", 7, (40, 160))
    # Also before the next pull, when the ledger only knows the old size.
    (merged,) = project.merge().values()
    assert merged.outcome == "blocked"
    assert "its image was replaced: 40 x 160 pixels instead of 200 x 160" in merged.detail
    assert project.source_boxes() == before
    assert boxes_of(project.pull().dataset)["a.png"] == {("cat", HUMAN)}
    assert any("1 image has new content" in line for line in project.said)
    assert project.merge().keys() & {"a.png"} == set()
    # If it comes back, so do its reviews.
    replace_picture(project, "a.png", 1, SIZE)
    assert ("dog", FREE) in boxes_of(project.pull().dataset)["a.png"]


def test_reviews_of_files_that_changed_places_apply_to_neither(project: SmallProject) -> None:
    """Reviews name files: whether one was made before or after nobody knows."""
    project.review("a.png", without("wrong"))
    folder = project.annotations.parent / "images"

    def swap() -> dict[str, set[object]]:
        (folder / "a.png").rename(folder / "old")
        (folder / "b.png").rename(folder / "a.png")
        (folder / "old").rename(folder / "b.png")
        return {name: set(boxes) for name, boxes in boxes_of(project.pull().dataset).items()}

    assert swap()["a.png"] == {("cat", HUMAN)}
    assert any("2 images have new content" in line for line in project.said)
    assert swap()["a.png"] == {("cat", HUMAN), ("cat", MINED)}
