"""Pseudo-labels: mined boxes that a stage of `staged` trains on, stored between the stages.

Mining takes minutes on a large dataset, and on a GPU it may not be reproducible to the last digit:
an interrupted stage resumes with the boxes that it started with.

They are used only where many labels are missing. If labels are nearly complete, annotators may have
skipped the other objects on purpose. A model trained on these detects them, and test labels made
the same way count that as errors; and a few more boxes gain little.

The criterion is the share of labelled objects, a separate parameter in learning from positive and
unlabelled data: Elkan and Noto, "Learning Classifiers from Only Positive and Unlabeled Data" (KDD
2008). It is estimated from a model's detections of annotated and other objects, by the same
thresholds, so that a weak model does not mistake its own misses for complete labels. Wrong
detections count as objects, too, so the share of missing labels tends to be overestimated.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset
from sparsedet.atomic_io import read_json, write_json
from sparsedet.config.sections import StagedConfig
from sparsedet.errors import RunError, SparseDetError
from sparsedet.reading import ODD_VALUES
from sparsedet.run_folder import RunFolder

_MINED_AGAIN = "without the file the boxes are mined again"


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Mined boxes of the training images."""

    labels: tuple[Box, ...]
    """Their ids are different."""
    weights: tuple[float, ...]
    """The chance that each label is right, 0 to 1."""
    ignored: tuple[Box, ...]
    """Ignore regions, which may show an object."""
    left_out: int = 0
    """Number of boxes found where few labels are missing, and not used."""

    @property
    def expected(self) -> float:
        """The expected number of right labels."""
        return sum(self.weights)

    def where(self, chosen: Callable[[Box], bool]) -> "PseudoLabels":
        """Return the chosen boxes; the others are left out."""
        kept = [chosen(box) for box in self.labels]
        ignored = tuple(filter(chosen, self.ignored))
        left = kept.count(False) + len(self.ignored) - len(ignored)
        labels, weights = tuple(compress(self.labels, kept)), tuple(compress(self.weights, kept))
        return PseudoLabels(labels, weights, ignored, self.left_out + left)


NOTHING = PseudoLabels((), (), ())
"""The state before mining."""


def where_missing(
    mined: Sequence[Box], known: Sequence[Box], dataset: Dataset, least: float
) -> Callable[[Box], bool]:
    """Return which boxes are where labels seem to be missing.

    If at least the share `least` of the objects that the model detects, over all images, has no
    label, these are all; otherwise those of classes for which that holds, and those on images
    without labels.

    Args:
        mined: boxes above the thresholds of mining.
        known: annotated objects that the model also detects, by the same thresholds.
        dataset: the mined images, and their annotations.
        least: share of the objects, 0 to 1; 0: all boxes.
    """
    if _share(len(mined), len(known)) >= least:
        return lambda box: True
    mined_of = Counter(box.category_id for box in mined)
    known_of = Counter(box.category_id for box in known)
    lacking = {number for number in mined_of if _share(mined_of[number], known_of[number]) >= least}
    labelled = {box.image_id for box in dataset.boxes if not box.iscrowd}
    return lambda box: box.category_id in lacking or box.image_id not in labelled


def _share(mined: int, known: int) -> float:
    """Return the share of objects without a label; 0 without objects."""
    return mined / (mined + known) if mined else 0.0


def usable(found: PseudoLabels, config: StagedConfig) -> PseudoLabels:
    """Return what training uses of mined boxes."""
    if not config.labels:
        found = replace(found, labels=(), weights=(), ignored=found.labels + found.ignored)
    return found if config.ignored else replace(found, ignored=())


def write_pseudo_labels(boxes: PseudoLabels, path: Path) -> None:
    """Write `path`: XYXY, unrounded, so that a resumed stage sees exactly the same boxes."""
    content = {
        "labels": [
            {**entry, "weight": weight}
            for entry, weight in zip(_entries(boxes.labels), boxes.weights, strict=True)
        ],
        "doubtful": _entries(boxes.ignored),
        "left_out": boxes.left_out,
    }
    write_json(path, content)


def read_pseudo_labels(path: Path, *, advice: str = _MINED_AGAIN) -> PseudoLabels:
    """Read the file of `write_pseudo_labels`.

    Args:
        path: the file.
        advice: what to do if it is broken.

    Raises:
        RunError: when the file is broken.
    """
    try:
        content = read_json(path)
    except SparseDetError as error:
        raise RunError(f"{error}; {advice}") from error
    try:
        return PseudoLabels(
            labels=_boxes(content["labels"]),
            # Labels of 0.2 and before have no weight.
            weights=tuple(float(entry.get("weight", 1.0)) for entry in content["labels"]),
            ignored=_boxes(content["doubtful"]),
            left_out=content["left_out"],
        )
    except ODD_VALUES as error:
        raise RunError(f"{path}: unexpected content ({error!r}); {advice}") from error


def write_ignored(boxes: Iterable[Box], run: RunFolder) -> None:
    """Write the ignore regions of a run."""
    write_pseudo_labels(PseudoLabels((), (), tuple(boxes)), run.ignored)


def read_ignored(run: RunFolder) -> tuple[Box, ...]:
    """Read the file of `write_ignored`; empty if there is none."""
    if not run.ignored.exists():
        return ()
    return read_pseudo_labels(run.ignored, advice="restore it, or start another run").ignored


def _entries(boxes: Iterable[Box]) -> list[dict[str, Any]]:
    return [
        {"image_id": box.image_id, "category_id": box.category_id, "xyxy": box.xyxy}
        for box in boxes
    ]


def _boxes(entries: list[dict[str, Any]]) -> tuple[Box, ...]:
    boxes = []
    for number, entry in enumerate(entries, start=1):
        left, top, right, bottom = entry["xyxy"]
        xyxy = (left, top, right, bottom)
        boxes.append(Box(number, entry["image_id"], entry["category_id"], xyxy, origin="mined"))
    return tuple(boxes)
