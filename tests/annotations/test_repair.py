"""Faulty COCO files: all faults are found at once, and left out or repaired where safe."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, read_coco
from sparsedet.annotations.coco import from_coco
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError

RUNS = {"size": [40, 60], "counts": [40 * 10 + 5, 8, 32, 8, 40 * 60 - 40 * 10 - 5 - 8 - 32 - 8]}
"""Columns 10 and 11, rows 5 to 12."""


def _content(boxes: int = 10) -> dict[str, Any]:
    return {
        "images": [
            {"id": id, "file_name": f"{id}.jpg", "width": 60, "height": 40} for id in range(1, 9)
        ],
        "annotations": [
            {
                "id": id,
                "image_id": 1 + id % 8,
                "category_id": 1 + id % 2,
                "bbox": [1.0, 2.0, 10.0 + id, 5.0],
            }
            for id in range(1, boxes + 1)
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }


def _read(content: dict[str, Any], folder: Path) -> tuple[Any, Faults]:
    path = folder / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    faults = Faults(path)
    return read_coco(path, faults), faults


def _box(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][4].update(changes)


@pytest.mark.parametrize(
    ("break_it", "kind", "left"),
    [
        (_box(bbox=[1, 2, 0, 4]), "box-without-area", 9),
        (_box(bbox=[1, 2, 3, -4]), "box-without-area", 9),
        (_box(bbox=[70, 2, 3, 4]), "box-outside", 9),
        (_box(bbox=[50, 2, 20, 4]), "box-over-edge", 10),
        (_box(bbox=[1, 2, 3]), "box-broken", 9),
        (_box(bbox=[1, 2, float("nan"), 3]), "box-broken", 9),
        (_box(bbox=None), "box-broken", 9),
        (_box(bbox=["1", "2", "3", "4.5"]), "number-as-text", 10),
        (_box(bbox=None, segmentation={"size": [40, 60], "counts": None}), "box-broken", 9),
        (_box(image_id=77), "orphan", 9),
        (_box(image_id=None), "orphan", 9),
        (_box(category_id=77), "unknown-class", 9),
        (_box(id=4), "id-repeated", 10),
        (_box(id="x"), "id-no-integer", 10),
        (_box(id=5.0), "id-no-integer", 10),
        (_box(id=None), "id-no-integer", 10),
        (_box(iscrowd=None), "crowd-mark", 10),
        (_box(iscrowd="no"), "crowd-mark", 10),
        (_box(area="many"), "area-broken", 10),
        (_box(area=-3), "area-broken", 10),
        (lambda c: c["annotations"].append("box"), "box-broken", 10),
        (lambda c: c["categories"].append({"id": 3, "name": ""}), "class-broken", 10),
        (lambda c: c["categories"].append({"id": 3, "name": "cat"}), "class-twice", 10),
        (lambda c: c["categories"].append({"id": 3, "name": 7}), "class-numeric", 10),
        (lambda c: c["images"].append({"id": 9}), "image-broken", 10),
        (lambda c: c["images"].append(None), "image-broken", 10),
    ],
)
def test_every_kind_of_fault_is_noted_alone(
    break_it: Callable[[dict[str, Any]], object], kind: str, left: int, tmp_path: Path
) -> None:
    content = _content()
    break_it(content)
    dataset, faults = _read(content, tmp_path)
    assert [fault.kind.name for fault in faults.found] == [kind]
    assert len(dataset.boxes) == left
    assert len({box.id for box in dataset.boxes}) == left
    faults.check()
    if kind != "box-over-edge":
        with pytest.raises(AnnotationError):
            read_coco(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("segmentation", "xyxy"),
    [
        (RUNS, (10, 5, 12, 13)),
        ({"size": [40, 60], "counts": "e<8P1"}, None),
        ([[3, 4, 9, 4, 9, 8.5]], (3, 4, 9, 8.5)),
        ([[3, 4, 9, 4, 9, 8], [20, 30, 22, 30, 22, 31]], (3, 4, 22, 31)),
        ([3, 4, 9, 4, 9, 8.5], (3, 4, 9, 8.5)),
        ({"size": [9, 9], "counts": [1, 80]}, None),
        ({"size": [40, 60], "counts": [40 * 60]}, None),
        ("mask", None),
    ],
)
def test_boxes_from_masks(segmentation: Any, xyxy: XYXY | None, tmp_path: Path) -> None:
    content = _content()
    content["annotations"][4] |= {"segmentation": segmentation}
    del content["annotations"][4]["bbox"]
    dataset, faults = _read(content, tmp_path)
    box = next((box for box in dataset.boxes if box.id == 5), None)
    if xyxy is None:
        assert faults.found[0].kind.name in ("box-broken", "box-from-mask")
        assert box is None or box.width > 0
    else:
        assert faults.found[0].kind.name == "box-from-mask"
        assert box is not None
        assert box.xyxy == xyxy


def test_the_mask_of_pycocotools_gives_its_box(tmp_path: Path) -> None:
    import numpy as np
    from pycocotools import mask

    pixels = np.zeros((40, 60), np.uint8, order="F")
    pixels[5:13, 10:12] = 1
    runs = mask.encode(pixels)
    content = _content()
    content["annotations"][4] |= {
        "bbox": [],
        "segmentation": {"size": [40, 60], "counts": runs["counts"].decode()},
    }
    dataset, _ = _read(content, tmp_path)
    assert next(box.xyxy for box in dataset.boxes if box.id == 5) == (10, 5, 12, 13)


def test_ids_as_floats_and_text_stay_the_same_numbers(tmp_path: Path) -> None:
    content = _content()
    for entry in content["images"]:
        entry["id"] = str(entry["id"])
    for entry in content["annotations"]:
        entry["image_id"] = float(entry["image_id"])
        entry["category_id"] = str(entry["category_id"])
    dataset, faults = _read(content, tmp_path)
    expected = read_coco_of(_content(), tmp_path)
    assert dataset.images == expected.images
    assert [b.xyxy for b in dataset.boxes] == [b.xyxy for b in expected.boxes]
    assert [b.image_id for b in dataset.boxes] == [b.image_id for b in expected.boxes]
    assert faults.lines()[0].startswith("non-integer ids: 8 (images id 1, 2, 3, 4, 5 and 3")


def read_coco_of(content: dict[str, Any], folder: Path) -> Any:
    path = folder / "b.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_coco(path)


def test_images_that_share_an_id_are_left_out_with_their_boxes(tmp_path: Path) -> None:
    content = _content(24)
    content["images"][1]["id"] = 1
    dataset, faults = _read(content, tmp_path)
    assert [image.id for image in dataset.images] == [3, 4, 5, 6, 7, 8]
    assert {box.image_id for box in dataset.boxes} == {3, 4, 5, 6, 7, 8}
    assert faults.lost("image") == 2


def test_a_file_that_is_listed_twice_is_one_image(tmp_path: Path) -> None:
    content = _content()
    content["images"].append({**content["images"][0], "id": 99})
    content["annotations"][4]["image_id"] = 99
    dataset, faults = _read(content, tmp_path)
    assert len(dataset.images) == 8
    assert next(box.image_id for box in dataset.boxes if box.id == 5) == 1
    assert [fault.kind.name for fault in faults.found] == ["image-twice"]


def test_forty_bad_boxes_are_one_error_that_lists_all_kinds(tmp_path: Path) -> None:
    content = _content(80)
    for number, entry in enumerate(content["annotations"][:40]):
        entry["bbox"] = [[1, 2, 0, 0], [90, 2, 3, 3]][number % 2]
    _, faults = _read(content, tmp_path)
    with pytest.raises(AnnotationError) as error:
        faults.check()
    text = str(error.value)
    assert "40 of 80 boxes would be left out, more than 20%" in text
    assert "boxes without area: 20 (annotations id 1, 3, 5, 7, 9 and 15 more)" in text
    assert "boxes outside of their image: 20" in text
    assert "annotations id 1: bbox [1, 2, 0, 0] has no area)" in text
    assert "inspect" in text
    assert "\n" not in text


def test_ten_bad_boxes_of_eighty_are_left_out(tmp_path: Path) -> None:
    content = _content(80)
    for entry in content["annotations"][:10]:
        entry["bbox"] = [1, 2, 0, 0]
    dataset, faults = _read(content, tmp_path)
    faults.check()
    assert [box.id for box in dataset.boxes] == list(range(11, 81))


@pytest.mark.parametrize(
    ("lost", "left", "is_fine"),
    [(1, 1, False), (1, 2, True), (2, 8, True), (3, 11, False), (1, 0, False)],
)
def test_a_share_is_the_bound(lost: int, left: int, is_fine: bool, tmp_path: Path) -> None:
    content = _content(lost + left)
    for entry in content["annotations"][:lost]:
        entry["bbox"] = [1, 2, 0, 0]
    _, faults = _read(content, tmp_path)
    if is_fine:
        faults.check()
        return
    with pytest.raises(AnnotationError):
        faults.check()


def test_roboflows_root_class_is_left_out(tmp_path: Path) -> None:
    content = _content()
    for entry in content["categories"]:
        entry["supercategory"] = "pets"
    root = {"id": 0, "name": "pets", "supercategory": "none"}
    content["categories"].insert(0, root)
    dataset, faults = _read(content, tmp_path)
    assert [category.name for category in dataset.categories] == ["dog", "cat"]
    assert faults.lines() == [
        "root classes without boxes, as written by Roboflow: 1 (categories id 0), left out"
    ]
    content["annotations"][0]["category_id"] = 0
    assert len(_read(content, tmp_path)[0].categories) == 3


def test_a_class_without_boxes_is_no_root(tmp_path: Path) -> None:
    content = deepcopy(_content())
    content["categories"].append({"id": 3, "name": "bird", "supercategory": "none"})
    dataset, faults = _read(content, tmp_path)
    assert len(dataset.categories) == 3
    assert not faults.found


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(_content()), encoding="utf-8-sig")
    assert len(read_coco(path).boxes) == 10


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/home/me/a.jpg", "home/me/a.jpg"),
        ("C:\\data\\a.jpg", "data/a.jpg"),
        ("../../media/a.jpg", "media/a.jpg"),
    ],
)
def test_names_of_another_machine_never_lead_out(name: str, kept: str, tmp_path: Path) -> None:
    content = _content()
    content["images"][0]["file_name"] = name
    dataset, faults = _read(content, tmp_path)
    assert dataset.images[0].file_name == kept
    assert [fault.kind.name for fault in faults.found] == ["name-foreign"]


def test_an_image_that_lost_a_box_is_not_exhaustive(tmp_path: Path) -> None:
    content = _content()
    for entry in content["images"]:
        entry["exhaustive"] = True
    content["annotations"][4]["bbox"] = None
    dataset, _ = _read(content, tmp_path)
    assert [i.id for i in dataset.images if not i.exhaustive] == [1 + 5 % 8]


def test_marks_of_complete_classes_follow_the_repair() -> None:
    """Ids are renumbered with their classes; of a class that is gone no mark is left."""
    content = {
        "images": [
            {
                "id": 1,
                "file_name": "a.jpg",
                "width": 9,
                "height": 9,
                "complete_classes": [1, "2", 8],
            },
            {"id": 2, "file_name": "b.jpg", "width": 9, "height": 9, "complete_classes": [1]},
        ],
        "categories": [{"id": "1", "name": "cat"}, {"id": 2.0, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [1, 1, 0, 5]}],
    }
    dataset = from_coco(content, source="f", faults=Faults("f"))
    names = {category.id: category.name for category in dataset.categories}
    first, second = dataset.images
    assert {names[id] for id in first.complete_classes} == {"cat", "dog"}
    # A box was left out: nobody knows of which class the object is.
    assert second.complete_classes == frozenset()


def test_a_class_of_two_entries_is_complete_only_if_both_are() -> None:
    """Also by the keys of LVIS, of which odd values are dropped."""
    size = {"width": 9, "height": 9}
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "complete_classes": [1], **size},
            {"id": 2, "file_name": "b.jpg", "complete_classes": [1, 2, 3], **size},
            {
                "id": 3,
                "file_name": "c.jpg",
                "neg_category_ids": [2, "3"],
                "not_exhaustive_category_ids": [2],
                **size,
            },
            {"id": 4, "file_name": "d.jpg", "neg_category_ids": "all", **size},
        ],
        "categories": [
            {"id": 1, "name": "cat"},
            {"id": 2, "name": "cat"},
            {"id": 3, "name": "dog"},
        ],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    }
    dataset = from_coco(content, source="f", faults=Faults("f"))
    marks = [image.complete_classes for image in dataset.images]
    assert marks == [frozenset(), {1, 3}, {3}, frozenset()]


def test_odd_ids_in_text_are_renumbered() -> None:
    content = _content()
    content["annotations"][0]["id"] = "--5"
    faults = Faults("f")
    assert len(from_coco(content, source="f", faults=faults).boxes) == 10
    assert [fault.kind.name for fault in faults.found] == ["id-no-integer"]
