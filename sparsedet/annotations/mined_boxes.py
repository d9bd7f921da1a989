"""Mined boxes and their file.

`mined.json` is a COCO results list (XYWH boxes) whose entries also have `region_id`, `threshold`
and, if estimated, `expected_precision` and `object_chance`; `mined.meta.json` next to it records
its origin.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.entries import xywh
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import AnnotationError
from sparsedet.reading import ODD_VALUES

_ESTIMATES = ("expected_precision", "object_chance")


@dataclass(frozen=True, slots=True)
class MinedBox:
    """A detection by a trained model that no annotation explains."""

    region_id: str
    """Assigned once, at mining; identifies the box in every tool and the ledger."""
    image_id: int
    category_id: int
    xyxy: XYXY
    """Absolute pixels of the upright image."""
    score: float
    """The model's confidence, 0 to 1."""
    threshold: float
    """The score required for its class."""
    expected_precision: float | None = None
    """The chance that a reviewer accepts it, 0 to 1; None: not estimated."""
    object_chance: float | None = None
    """The chance that it shows an object of any class, 0 to 1; None: not estimated."""


def region_id(run_id: str, file_name: str, category_id: int, xyxy: XYXY) -> str:
    """Return the id of a mined box: the same for the same run, image, class and box."""
    text = "|".join([run_id, file_name, str(category_id), *(f"{value:.2f}" for value in xyxy)])
    return "sd" + hashlib.sha256(text.encode()).hexdigest()[:18]


def write_mined(boxes: Sequence[MinedBox], meta: Mapping[str, Any], path: Path) -> None:
    """Write `path` and its `.meta.json` next to it; the list last, so that it is complete."""
    write_json(meta_path(path), dict(meta), indent=2)
    write_json(
        path,
        [
            {
                "image_id": box.image_id,
                "category_id": box.category_id,
                "bbox": xywh(box.xyxy),
                "score": round(box.score, 6),
                "region_id": box.region_id,
                "threshold": round(box.threshold, 6),
                **_estimates(box),
            }
            for box in boxes
        ],
        indent=1,
    )


def _estimates(box: MinedBox) -> dict[str, float]:
    estimates = {name: getattr(box, name) for name in _ESTIMATES}
    return {name: round(value, 4) for name, value in estimates.items() if value is not None}


def read_mined(path: Path, dataset: Dataset) -> tuple[MinedBox, ...]:
    """Read mined boxes of `dataset`.

    Raises:
        AnnotationError: naming the file and the entry that is broken or belongs elsewhere.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a list of mined boxes")
    boxes: dict[str, MinedBox] = {}
    for index, entry in enumerate(entries):
        try:
            x, y, width, height = (float(value) for value in entry["bbox"])
            estimates = {name: entry.get(name) for name in _ESTIMATES}  # not in older files
            box = MinedBox(
                region_id=str(entry["region_id"]),
                image_id=entry["image_id"],
                category_id=entry["category_id"],
                xyxy=(x, y, x + width, y + height),
                score=float(entry["score"]),
                threshold=float(entry["threshold"]),
                **{n: None if value is None else float(value) for n, value in estimates.items()},
            )
        except ODD_VALUES as error:
            raise AnnotationError(
                f"{path}: entry {index}: invalid mined box ({error!r}); "
                "`sparsedet mine` writes them"
            ) from error
        numbers = (*box.xyxy, box.score, box.threshold, *filter(None, estimates.values()))
        if not all(map(math.isfinite, map(float, numbers))):
            raise AnnotationError(f"{path}: entry {index}: non-finite number")
        if not isinstance(box.image_id, int) or box.image_id not in dataset.image_by_id:
            raise AnnotationError(f"{path}: entry {index}: image {box.image_id} is not in the data")
        if not isinstance(box.category_id, int) or box.category_id not in dataset.category_by_id:
            raise AnnotationError(
                f"{path}: entry {index}: category {box.category_id} is not in the data"
            )
        if box.region_id in boxes:
            raise AnnotationError(f"{path}: entry {index}: duplicate region_id {box.region_id}")
        boxes[box.region_id] = box
    return tuple(boxes.values())


def meta_path(path: Path) -> Path:
    """Return the path of the file that describes a list of mined boxes."""
    return path.with_suffix(".meta.json")
