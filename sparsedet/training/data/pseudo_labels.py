"""What a stage of `staged` adds to the annotations, kept between the stages.

Mining takes minutes on a large dataset, and on a GPU it may not find the same to the last digit
again: an interrupted stage goes on with the boxes that it started with.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import RunError


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Mined boxes of the training images."""

    labels: tuple[Box, ...]
    """Boxes whose object and class are sure."""
    doubtful: tuple[Box, ...]
    """There may be an object: to be ignored."""
    left_out: int = 0
    """How many boxes were found where few labels are missing, and are not used."""


NOTHING = PseudoLabels((), ())
"""Before anything was mined."""


def usable(found: PseudoLabels, rule: Any) -> PseudoLabels:
    """Return what training may use; `rule` is the configuration node SPARSEDET.STAGED."""
    labels, doubtful = found.labels, found.doubtful
    if not rule.LABELS:
        labels, doubtful = (), labels + doubtful
    return replace(found, labels=labels, doubtful=doubtful if rule.IGNORED else ())


def write_pseudo_labels(boxes: PseudoLabels, path: Path) -> None:
    """Write `path`: XYXY, not rounded, so that a resumed stage sees exactly the same boxes."""
    content = {
        "labels": _entries(boxes.labels),
        "doubtful": _entries(boxes.doubtful),
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
            doubtful=_boxes(content["doubtful"]),
            # Former versions had none.
            left_out=content.get("left_out", 0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: unexpected content ({error!r}); without the file the boxes are mined again"
        ) from error


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
