"""Reading objects that the full annotations lack."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError
from sparsedet.simulation import read_neutral

TRUTH = Dataset((Image(7, "a.jpg", 640, 480),), (), (Category(3, "cat"),))
ENTRY = {"image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40], "score": 0.7}


def test_a_results_list_becomes_boxes(tmp_path: Path) -> None:
    file = tmp_path / "neutral.json"
    file.write_text(json.dumps([ENTRY]))
    assert read_neutral(file, TRUTH) == (Box(1, 7, 3, (10, 20, 40, 60)),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "not a COCO results list"),
        ([ENTRY, {"image_id": 7}], "entry 1 is no COCO result"),
        ([{**ENTRY, "bbox": [1, 2, 3]}], "entry 0 is no COCO result"),
        ([{**ENTRY, "bbox": [1, 2, 0, 4]}], r"entry 0: bbox \[1, 2, 0, 4\] has no area"),
        ([{**ENTRY, "image_id": 8}], "entry 0: image 8 is not in the full annotations"),
        ([{**ENTRY, "category_id": "cat"}], "entry 0: category 'cat' is not in the full"),
    ],
)
def test_a_broken_entry_is_named(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "neutral.json"
    file.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message):
        read_neutral(file, TRUTH)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"neutral\.json: no such file"):
        read_neutral(tmp_path / "neutral.json", TRUTH)
