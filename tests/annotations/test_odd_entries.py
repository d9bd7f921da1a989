"""COCO files with values that no tool should write, but some do."""

from typing import Any

import pytest

from sparsedet.annotations.coco import from_coco
from sparsedet.annotations.faults import Faults


def content_of_boxes() -> dict[str, Any]:
    return {
        "images": [
            {"id": id, "file_name": f"{id}.jpg", "width": 60, "height": 40} for id in range(1, 9)
        ],
        "annotations": [
            {"id": id, "image_id": 1 + id % 8, "category_id": 1 + id % 2, "bbox": [1, 2, 9, 5]}
            for id in range(1, 11)
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }


def test_entries_without_id_are_not_joined() -> None:
    content = content_of_boxes()
    content["images"][0].pop("id")
    content["categories"][0].pop("id")
    for box in content["annotations"]:
        box["category_id"] = 2
    content["annotations"][0].pop("image_id")
    content["annotations"][1].pop("category_id")
    faults = Faults("a")
    from_coco(content, source="a", faults=faults)
    kinds = [fault.kind.name for fault in faults.found]
    assert kinds.count("orphan") == 2
    assert kinds.count("unknown-class") == 1


def test_a_root_class_with_boxes_stays_even_if_ids_are_text() -> None:
    content = content_of_boxes()
    content["categories"] = [
        {"id": "1", "name": "animal", "supercategory": "none"},
        {"id": "2", "name": "cat", "supercategory": "animal"},
    ]
    for box in content["annotations"]:
        box["category_id"] = str(box["category_id"])
    dataset = from_coco(content, source="a", faults=Faults("a"))
    assert dataset.counts() == {"animal": 5, "cat": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"background": 0},
        {"background": 5},
        {"background": {"a": 1}},
        {"categories": [{"id": [1], "name": "x"}, {"id": 2, "name": "y", "supercategory": "x"}]},
        {"images": [{"id": 1, "coco_url": "http://[a/1.jpg", "width": 9, "height": 9}]},
        {"images": [{"id": 1, "file_name": "C:a.jpg", "width": 9, "height": 9}]},
        {"images": [{"id": 1, "file_name": "a.jpg", "width": 1e300, "height": 9}]},
        {"images": [{"id": 2**63 - 1, "file_name": "a.jpg", "width": 9, "height": 9}]},
    ],
)
def test_odd_values_are_faults(change: dict[str, Any]) -> None:
    faults = Faults("a")
    from_coco(content_of_boxes() | change, source="a", faults=faults)
    assert faults.found or change == {"background": 0}
