"""Boxes as two corners where COCO and YOLO have position and size."""

import json
import random
from pathlib import Path

import pytest

from sparsedet.annotations import XYXY, read_coco
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import read_dataset
from tests.integrations.files.formats.datasets import write, write_image

WIDTH, HEIGHT = 120, 80


def _boxes(number: int, largest: int = 40) -> list[XYXY]:
    """Return XYXY boxes anywhere on an image."""
    numbers = random.Random(3)
    found: list[XYXY] = []
    for _ in range(number):
        left, top = numbers.randint(0, WIDTH - 42), numbers.randint(0, HEIGHT - 42)
        size = numbers.randint(5, largest), numbers.randint(5, largest)
        found.append((left, top, left + size[0], top + size[1]))
    return found


def _coco(folder: Path, bboxes: list[list[float]]) -> Path:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": bbox}
            for n, bbox in enumerate(bboxes, start=1)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    return write(folder, "annotations.json", json.dumps(content))


@pytest.mark.parametrize("is_strict", [True, False])
def test_corners_in_a_coco_file_are_refused(is_strict: bool, tmp_path: Path) -> None:
    file = _coco(tmp_path, [list(box) for box in _boxes(40)])
    with pytest.raises(AnnotationError, match=r"each bbox seems to be \[x1, y1, x2, y2\]"):
        read_coco(file, Faults(file, strict=is_strict))


@pytest.mark.parametrize(
    "bboxes",
    [
        [[left, top, right - left, bottom - top] for left, top, right, bottom in _boxes(40)],
        [[5, 3, 116, 78]] * 20,  # photos of one large object, a pixel too wide
        [[5, 3, 100, 70]] * 20 + [[60, 3, 100, 70]] * 4,  # some boxes are wrong
        [[60, 40, 110, 70]] * 2,
    ],
)
def test_large_or_single_wrong_boxes_are_not(bboxes: list[list[float]], tmp_path: Path) -> None:
    assert len(read_coco(_coco(tmp_path, bboxes)).boxes) == len(bboxes)


@pytest.mark.parametrize("is_centered", [True, False])
def test_corners_in_yolo_files(is_centered: bool, tmp_path: Path) -> None:
    lines = []
    for x1, y1, x2, y2 in _boxes(40):
        numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        numbers = numbers if is_centered else (x1, y1, x2, y2)
        shares = [n / side for n, side in zip(numbers, (WIDTH, HEIGHT) * 2, strict=True)]
        lines.append(" ".join(["0", *map(str, shares)]))
    write(tmp_path, "labels/a.txt", "\n".join(lines))
    write(tmp_path, "classes.txt", "cat\n")
    write_image(tmp_path / "images/a.jpg")
    if is_centered:
        assert len(read_dataset(tmp_path).dataset.boxes) == 40
        return
    with pytest.raises(AnnotationError, match="each box seems to be x1 y1 x2 y2, not cx cy"):
        read_dataset(tmp_path, faults=Faults(tmp_path))
