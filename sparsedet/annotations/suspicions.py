"""Suspicious annotations and their file.

A round's `suspicions.json` lists them, the most certain first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.entries import xywh
from sparsedet.annotations.model import XYXY, Box
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import AnnotationError
from sparsedet.reading import ODD_VALUES

SuspicionKind = Literal["class", "place", "double", "sliver"]
"""What looks wrong with a box: its class, its position, that the object has another box of the
class, or its shape."""

SUSPICION_KINDS: tuple[SuspicionKind, ...] = get_args(SuspicionKind)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An annotation that looks wrong."""

    image_id: int
    box_id: str
    """Identifies the box within its image; see `box_name`."""
    kind: SuspicionKind
    certainty: float
    """How likely it is wrong, 0 to 1."""
    category_id: int | None = None
    """The more likely class; only for the kind `class`."""
    xyxy: XYXY | None = None
    """Where the model detects the object, in absolute pixels of the upright image; only for the
    kind `place`."""
    twin: str | None = None
    """Identifies the other box of the object; only for the kind `double`."""

    @property
    def key(self) -> tuple[int, str]:
        """Identifies the box within a dataset."""
        return self.image_id, self.box_id

    def in_words(self, dataset: Dataset) -> str:
        """Return what a reviewer should look at, as a question."""
        if self.kind == "class" and self.category_id is not None:
            return f"{dataset.category_by_id[self.category_id].name}?"
        return _WORDS[self.kind]


_WORDS: dict[SuspicionKind, str] = {
    "class": "another class?",
    "place": "badly placed?",
    "double": "drawn twice?",
    "sliver": "a sliver?",
}


def box_name(box: Box) -> str:
    """Return an annotation's identifier within its image: the tool's id, else its own."""
    return box.tool_id or str(box.id)


def write_suspicions(suspicions: Sequence[Suspicion], path: Path) -> None:
    """Write `path` atomically; boxes in COCO's XYWH."""
    write_json(
        path,
        [
            {
                "image_id": one.image_id,
                "box_id": one.box_id,
                "kind": one.kind,
                "certainty": round(one.certainty, 4),
                "category_id": one.category_id,
                "bbox": None if one.xyxy is None else xywh(one.xyxy),
                "twin": one.twin,
            }
            for one in suspicions
        ],
        indent=1,
    )


def read_suspicions(path: Path) -> tuple[Suspicion, ...]:
    """Read the file of `write_suspicions`.

    Raises:
        AnnotationError: naming the file and the entry that is broken.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a list of suspicions")
    found = []
    for index, entry in enumerate(entries):
        try:
            if entry["kind"] not in SUSPICION_KINDS:
                raise ValueError(f"unknown kind {entry['kind']!r}")
            if not math.isfinite(entry["certainty"]):
                raise ValueError(f"certainty {entry['certainty']!r}")
            category_id, twin = entry["category_id"], entry["twin"]
            found.append(
                Suspicion(
                    image_id=int(entry["image_id"]),
                    box_id=str(entry["box_id"]),
                    kind=entry["kind"],
                    certainty=float(entry["certainty"]),
                    category_id=None if category_id is None else int(category_id),
                    xyxy=_xyxy(entry["bbox"]),
                    twin=None if twin is None else str(twin),
                )
            )
        except ODD_VALUES as error:
            raise AnnotationError(
                f"{path}: entry {index}: invalid suspicion ({error!r})"
            ) from error
    return tuple(found)


def _xyxy(bbox: Sequence[float] | None) -> XYXY | None:
    if bbox is None:
        return None
    x, y, width, height = (float(value) for value in bbox)
    return x, y, x + width, y + height
