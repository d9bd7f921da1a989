"""Classes that are complete on an image: read, written, and updated by every change."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.coco import from_coco, to_coco
from sparsedet.errors import AnnotationError

CAT, DOG, BIRD = 1, 2, 3


def content(*images: dict[str, Any], boxes: tuple[tuple[int, int], ...] = ()) -> dict[str, Any]:
    """Return a COCO file; boxes are given by image and category."""
    size = {"width": 50, "height": 40}
    names = {CAT: "cat", DOG: "dog", BIRD: "bird"}
    return {
        "images": [
            {"id": number, "file_name": f"{number}.jpg", **size, **image}
            for number, image in enumerate(images, start=1)
        ],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": [n, 0, 5, 5], "area": 25}
            for n, (i, c) in enumerate(boxes, start=1)
        ],
        "categories": [{"id": id, "name": name} for id, name in names.items()],
    }


def marks(dataset: Dataset) -> list[set[int]]:
    return [set(image.complete_classes) for image in dataset.images]


def test_marks_are_read_and_written_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    dataset = from_coco(content({"complete_classes": [3, 1]}, {}, boxes=((1, CAT),)), source="a")
    assert marks(dataset) == [{CAT, BIRD}, set()]
    assert [dataset.images[0].is_complete(id) for id in (CAT, DOG, BIRD)] == [True, False, True]
    write_coco(dataset, file)
    assert read_coco(file) == dataset
    assert to_coco(dataset)["images"][0]["complete_classes"] == [1, 3]
    assert "complete_classes" not in to_coco(dataset)["images"][1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([CAT, 9], "images id 1: complete_classes has 9, which is not among the categories"),
        ("cat", "images id 1: complete_classes is not a list of category ids"),
        ([CAT, "dog"], "images id 1: complete_classes is not a list of category ids"),
        ([10**30], "images id 1: complete_classes is not a list of category ids"),
        ({"1": 1}, "images id 1: complete_classes is not a list of category ids"),
    ],
)
def test_broken_marks_are_refused_by_the_image(value: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        from_coco(content({"complete_classes": value}, {}), source="a.json")


def lvis(negative: Any, unsure: Any, **more: Any) -> dict[str, Any]:
    return {"neg_category_ids": negative, "not_exhaustive_category_ids": unsure, **more}


@pytest.mark.parametrize(
    ("image", "complete"),
    [
        # Boxes of cat and dog: each may have more, or is complete; birds are absent, or unknown.
        (lvis([BIRD], [DOG]), {CAT, BIRD}),
        (lvis([], []), {CAT, DOG}),
        (lvis([BIRD], [CAT, DOG]), {BIRD}),
        # lvis-api ignores what matches nothing where a class is in both lists.
        (lvis([BIRD], [BIRD]), {CAT, DOG}),
        # The file was cut down to three classes.
        (lvis([BIRD, 77], [DOG, 78]), {CAT, BIRD}),
        # Of files that have one of the keys alone.
        ({"neg_category_ids": [BIRD]}, {BIRD}),
        ({"not_exhaustive_category_ids": [DOG]}, {CAT}),
        (lvis(None, None), {CAT, DOG}),
    ],
)
def test_lvis_keys_say_what_is_complete(image: dict[str, Any], complete: set[int]) -> None:
    source = content(image, {}, boxes=((1, CAT), (1, DOG), (1, DOG), (2, BIRD)))
    dataset = from_coco(source, source="lvis.json")
    assert marks(dataset) == [complete, set()]
    entries = to_coco(dataset)["images"]
    # What is known has not changed, and so the keys are as they came.
    assert {key: entries[0][key] for key in image} == image
    assert marks(from_coco({**source, "images": entries}, source="again")) == marks(dataset)


def test_lvis_keys_follow_the_boxes() -> None:
    source = content(lvis([BIRD], []), boxes=((1, CAT), (1, CAT), (1, DOG)))
    dataset = from_coco(source, source="lvis.json")
    sparse = dataset.with_boxes(dataset.boxes[1:])
    assert marks(sparse) == [{DOG, BIRD}]
    written = to_coco(sparse)
    entry = written["images"][0]
    assert (entry["neg_category_ids"], entry["not_exhaustive_category_ids"]) == ([BIRD], [CAT])
    del entry["complete_classes"]  # what other tools don't know
    assert from_coco(written, source="again").images[0].complete_classes == {DOG, BIRD}


@pytest.mark.parametrize("key", ["neg_category_ids", "not_exhaustive_category_ids"])
def test_a_broken_lvis_key_is_refused_by_the_image(key: str) -> None:
    with pytest.raises(AnnotationError, match=f"lvis.json: images id 1: {key} is not a list"):
        from_coco(content({**lvis([], []), key: "1"}), source="lvis.json")


def test_images_of_lvis_are_named_by_their_address() -> None:
    source = content({"coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg"})
    unnamed = deepcopy(source)
    del unnamed["images"][0]["file_name"]
    assert from_coco(unnamed, source="a").images[0].file_name == "val2017/000000397133.jpg"
    assert from_coco(source, source="a").images[0].file_name == "1.jpg"
    for url in ("", 7, "http://host/../../secret.jpg"):
        unnamed["images"][0]["coco_url"] = url
        with pytest.raises(AnnotationError, match="images id 1: file_name"):
            from_coco(unnamed, source="a")


def test_other_boxes_leave_marks_of_classes_that_lose_none() -> None:
    source = content(
        {"complete_classes": [CAT, DOG]},
        {"complete_classes": [CAT]},
        boxes=((1, CAT), (1, DOG), (2, CAT)),
    )
    dataset = from_coco(source, source="a")
    assert marks(dataset.with_boxes(dataset.boxes)) == marks(dataset)
    assert marks(dataset.with_boxes(dataset.boxes[1:])) == [{DOG}, {CAT}]
    assert marks(dataset.with_boxes(())) == [set(), set()]


def test_marks_stay_with_their_images() -> None:
    dataset = from_coco(
        content({"complete_classes": [CAT]}, {"complete_classes": [DOG]}), source=""
    )
    assert marks(dataset.with_images(dataset.images[1:])) == [{DOG}]


def test_an_image_is_complete_by_its_mark_or_in_all_classes() -> None:
    dataset = from_coco(
        content({"complete_classes": [CAT, DOG, BIRD]}, {"exhaustive": True}, {}), source=""
    )
    assert list(map(dataset.is_complete, dataset.images)) == [True, True, False]
    assert dataset.has_class_marks
    assert not from_coco(content({"exhaustive": True}, {}), source="").has_class_marks
