"""Pseudo-labels: the mined boxes that a stage of `staged` learns from, kept between the stages.

Mining takes minutes on a large dataset, and on a GPU it may not find the same to the last digit
again: an interrupted stage resumes with the boxes that it started with.

They are used only where many labels are missing. When labels are nearly complete, annotators may
have skipped the other objects on purpose. A model that is trained on these finds them again, and
test labels made the same way count that as errors; and it has little to gain from a few boxes more.

The share of objects that have a label decides, a parameter of its own in learning from positive and
unlabelled data: Elkan and Noto, "Learning Classifiers from Only Positive and Unlabeled Data" (KDD
2008). Here it is estimated from what a model finds: of annotated objects and of others, by the same
thresholds, so that a weak model does not take its own misses for complete labels. Wrong detections
count as objects, too: the share of missing labels is rather too high.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset
from sparsedet.atomic_io import read_json, write_json
from sparsedet.config.sections import StagedConfig
from sparsedet.errors import RunError
from sparsedet.reading import ODD_VALUES
from sparsedet.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Mined boxes of the training images."""

    labels: tuple[Box, ...]
    """Boxes whose object and class are sure."""
    ignored: tuple[Box, ...]
    """Ignore regions: there may be an object."""
    left_out: int = 0
    """How many boxes were found where few labels are missing, and are not used."""


NOTHING = PseudoLabels((), ())
"""Before anything was mined."""


def where_missing(
    found: PseudoLabels, known: Sequence[Box], dataset: Dataset, least: float
) -> PseudoLabels:
    """Return those of the mined boxes that are on places where labels seem to be missing.

    That is everywhere when of the objects that the model finds, on all images, at least the share
    `least` has no label; else for the classes of which that is true, and on images without any.

    Args:
        found: what was mined.
        known: annotated objects that the model finds as well.
        dataset: the images that were mined, and their annotations.
        least: share of the objects, 0 to 1; 0: everywhere.
    """
    mined = [*found.labels, *found.ignored]
    if _share(len(mined), len(known)) >= least:
        return found
    mined_of = Counter(box.category_id for box in mined)
    known_of = Counter(box.category_id for box in known)
    lacking = {number for number in mined_of if _share(mined_of[number], known_of[number]) >= least}
    labelled = {box.image_id for box in dataset.boxes if not box.iscrowd}

    def chosen(boxes: Iterable[Box]) -> tuple[Box, ...]:
        return tuple(
            box for box in boxes if box.category_id in lacking or box.image_id not in labelled
        )

    used = PseudoLabels(chosen(found.labels), chosen(found.ignored))
    return replace(used, left_out=len(mined) - len(used.labels) - len(used.ignored))


def _share(mined: int, known: int) -> float:
    """Return the share of objects without a label; 0 where there are none at all."""
    return mined / (mined + known) if mined else 0.0


def usable(found: PseudoLabels, config: StagedConfig) -> PseudoLabels:
    """Return what training uses of mined boxes."""
    labels, ignored = found.labels, found.ignored
    if not config.labels:
        labels, ignored = (), labels + ignored
    return replace(found, labels=labels, ignored=ignored if config.ignored else ())


def write_pseudo_labels(boxes: PseudoLabels, path: Path) -> None:
    """Write `path`: XYXY, not rounded, so that a resumed stage sees exactly the same boxes."""
    content = {
        "labels": _entries(boxes.labels),
        "doubtful": _entries(boxes.ignored),
        "left_out": boxes.left_out,
    }
    write_json(path, content)


def read_pseudo_labels(path: Path) -> PseudoLabels:
    """Read what `write_pseudo_labels` wrote.

    Raises:
        RunError: when the file is broken.
    """
    content = read_json(path)
    try:
        return PseudoLabels(
            labels=_boxes(content["labels"]),
            ignored=_boxes(content["doubtful"]),
            left_out=content["left_out"],
        )
    except ODD_VALUES as error:
        raise RunError(
            f"{path}: unexpected content ({error!r}); without the file the boxes are mined again"
        ) from error


def write_ignored(boxes: Iterable[Box], run: RunFolder) -> None:
    """Write the places that a run must neither learn nor punish."""
    write_pseudo_labels(PseudoLabels((), tuple(boxes)), run.ignored)


def read_ignored(run: RunFolder) -> tuple[Box, ...]:
    """Read what `write_ignored` wrote; nothing where nothing was."""
    return read_pseudo_labels(run.ignored).ignored if run.ignored.exists() else ()


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
