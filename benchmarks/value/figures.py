"""A round's predictions, compared with the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset, read_coco
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.atomic_io import read_json, write_json
from sparsedet.completeness.candidate_file import read_candidates
from sparsedet.completeness.expected_precision import fit_expected_precision
from sparsedet.completeness.selection import limit_for
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.mining.candidates import Candidates

from .setting import Setting

TARGETS = (0.8, 0.9, 0.95)
_BINS = 10


def write_figures(setting: Setting, folder: RoundFolder, found: int, path: Path) -> dict[str, Any]:
    """Write and return the figures of a reviewed round.

    Args:
        setting: has the truth.
        folder: the round's folder.
        found: number of objects with a box after its review.
        path: the file.
    """
    content, before = read_candidates(folder.candidates), read_coco(folder.annotations)
    unknown = content.candidates.unknown
    fitted = fit_expected_precision(
        content.candidates,
        [category.id for category in before.categories],
        hidden=content.hidden,
        annotated=sum(not box.iscrowd for box in before.boxes),
        earlier=content.earlier,
    )
    chances = fitted.of(unknown)
    missing = _missing(setting, before)
    right = _truth(unknown, chances, missing, _by_class(setting, before, setting.neutral))
    counts = right >= 0
    estimate = read_json(folder.estimate)
    objects = sum(len(own) for own in setting.objects.values())
    result = {
        "round": folder.number,
        "missing": sum(map(len, missing.values())),
        "promises": _promises(chances[counts], right[counts] == 1),
        "promises_neutral_wrong": _promises(chances, right == 1),
        "calibration": _bins(chances[counts], right[counts] == 1),
        "calibration_of_scores": _bins(unknown.scores[counts], right[counts] == 1),
        "ranking": _ranking(chances, right, sum(map(len, missing.values()))),
        "share": found / objects,
        "estimate": {name: estimate[name] for name in ("share", "low", "high", "basis")},
    }
    write_json(path, result, indent=1)
    return result


def _promises(chances: NDArray[Any], right: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return the outcome for each of the `TARGETS`."""
    return {f"{target:g}": _promise(chances, right, target) for target in TARGETS}


def _promise(chances: NDArray[Any], right: NDArray[np.bool_], target: float) -> dict[str, float]:
    """Return how many boxes are shown for a target, and how many of them are right."""
    shown = chances >= limit_for(chances, target)
    return {"boxes": int(shown.sum()), "right": int(right[shown].sum())}


def _bins(values: NDArray[Any], right: NDArray[np.bool_]) -> list[list[float]]:
    """Return [boxes, sum of the values, right ones] of each bin of the values."""
    rows = np.minimum((values * _BINS).astype(int), _BINS - 1)
    return [
        [int((rows == row).sum()), float(values[rows == row].sum()), int(right[rows == row].sum())]
        for row in range(_BINS)
    ]


def _ranking(chances: NDArray[Any], right: NDArray[np.int64], missing: int) -> dict[str, float]:
    """Return recall at 95 % precision, and the area under the precision-recall curve."""
    ordered = right[np.argsort(-chances, kind="stable")]
    ordered = ordered[ordered >= 0]
    hits = np.cumsum(ordered)
    precision = hits / np.arange(1, len(hits) + 1)
    recall = hits / max(missing, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = recall[precision >= 0.95]
    return {
        "recall_at_95": float(reached.max(initial=0.0)),
        "area": float((np.diff(recall, prepend=0.0) * envelope).sum()),
    }


_Places = Mapping[tuple[int, int], Sequence[tuple[float, ...]]]
"""Image and category id -> XYXY of objects."""


def _missing(setting: Setting, before: Dataset) -> _Places:
    """Return the objects without an annotation of their class."""
    missing: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for key, there in _by_class(setting, before, setting.full.boxes).items():
        image_id, category_id = key
        drawn = [b.xyxy for b in before.boxes_by_image[image_id] if b.category_id == category_id]
        taken = set(match(iou_matrix(drawn, there), SAME_OBJECT_IOU).tolist())
        missing[key] = [xyxy for row, xyxy in enumerate(there) if row not in taken]
    return missing


def _by_class(setting: Setting, before: Dataset, boxes: Sequence[Box]) -> _Places:
    """Return boxes of the full data by the ids of `before`."""
    images = {image.file_name: image.id for image in before.images}
    categories = {category.name: category.id for category in before.categories}
    full = setting.full
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for box in boxes:
        if not box.iscrowd:
            name = full.category_by_id[box.category_id].name
            key = images[full.image_by_id[box.image_id].file_name], categories[name]
            found.setdefault(key, []).append(box.xyxy)
    return found


def _truth(
    candidates: Candidates, chances: NDArray[Any], missing: _Places, neutral: _Places
) -> NDArray[np.int64]:
    """Return 1 for candidates on a missing object, likeliest first, -1 on a neutral one, else 0."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(-chances, kind="stable").tolist():
        key = int(candidates.image_ids[row]), int(candidates.category_ids[row])
        groups.setdefault(key, []).append(row)
    verdicts = np.zeros(len(candidates), dtype=np.int64)
    for key, rows in groups.items():
        boxes = candidates.boxes[rows]
        on_missing = match(iou_matrix(boxes, missing.get(key, [])), SAME_OBJECT_IOU) >= 0
        on_neutral = match(iou_matrix(boxes, neutral.get(key, [])), SAME_OBJECT_IOU) >= 0
        verdicts[rows] = np.where(on_missing, 1, np.where(on_neutral, -1, 0))
    return verdicts
