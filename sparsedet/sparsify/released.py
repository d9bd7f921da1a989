"""Released sparse splits: used unchanged, after checking them against the full file.

A released file is a fixed list of boxes that no recipe reproduces, so it is copied.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsedet import __version__
from sparsedet.annotations import Dataset, Image, read_coco, write_coco
from sparsedet.annotations.image_names import same_images
from sparsedet.annotations.table import BoolArray, BoxTable, IntArray
from sparsedet.atomic_io import write_json
from sparsedet.errors import AnnotationError
from sparsedet.sparsify.split import RECORD

SAME_PLACE = 1.01
"""Maximum difference of an edge in pixels: Pascal VOC counts pixels from 1, which not all
converters handle."""

_NONE = -1


@dataclass(frozen=True, slots=True)
class Released:
    """A released sparse split, matched with its full file."""

    file: Path
    sparse: Dataset
    """The file's content."""
    removed: Dataset
    """The full file without the released file's boxes, with the full file's ids."""
    by_id: int
    """Number of boxes that match the full file in id, image, class and position."""
    by_place: int
    """Number of boxes that match it in image, class and position only."""
    offset: float
    """Pixels: the largest difference of an edge from the full file's box."""

    def as_json(self) -> dict[str, Any]:
        """Return the released file's entry of `split.json`."""
        return {
            "name": self.file.stem,
            "file": str(self.file),
            "sha256": sha256(self.file.read_bytes()).hexdigest(),
            "matched": {"by_id": self.by_id, "by_place": self.by_place},
            "offset": round(self.offset, 4),
            "images_left_out": len(self.removed.images) - len(self.sparse.images),
        }


def read_released(file: Path, full: Dataset) -> Released:
    """Read a released sparse split and match its boxes with the full dataset.

    A box is matched by its id if image, class and position agree, else by image, class and
    position. Images are matched by file name (see `same_images`), classes by name; positions may
    differ by `SAME_PLACE`.

    Args:
        file: A COCO file.
        full: The dataset that it was made from.

    Raises:
        AnnotationError: when an image, class or box is not in the full dataset, naming the first
            and their number.
    """
    sparse = read_coco(file)
    matching = _Matching(file, sparse, full)
    by_id = matching.by_id()
    found = matching.by_place(by_id)
    lost = np.flatnonzero(found == _NONE)
    if len(lost):
        box = sparse.table[int(lost[0])]
        name = sparse.image_by_id[box.image_id].file_name
        raise AnnotationError(
            f"{file}: {len(lost)} of {len(found)} boxes are not in the full file (first: "
            f"annotations id {box.id}, {sparse.category_by_id[box.category_id].name} on {name}); "
            "is it the file that the split was made from?"
        )
    lacking = np.ones(len(full.table), dtype=np.bool_)
    lacking[found] = False
    offset = np.abs(sparse.table.xyxy - full.table.xyxy[found]).max(initial=0.0)
    return Released(
        file=file,
        sparse=sparse,
        removed=replace(
            full,
            images=tuple(image.unmarked() for image in full.images),
            boxes=full.table.select(lacking),
            verified_negatives=(),
        ),
        by_id=int((by_id != _NONE).sum()),
        by_place=int((by_id == _NONE).sum()),
        offset=float(offset),
    )


def write_released(
    released: Released, folder: Path, *, source: str | Mapping[str, str]
) -> dict[str, Any]:
    """Write a released split, its removed boxes and its record into `folder`; return the record.

    Args:
        released: The released split; its file is copied byte by byte.
        folder: Where to write.
        source: The full file, or tool and project.
    """
    kept, removed = released.sparse.counts(), released.removed.counts()
    record = {
        "sparsedet": __version__,
        "source": source,
        "seed": None,
        "recipe": None,
        "released": released.as_json(),
        "val": None,
        "validation": None,
        "images": {"train": len(released.sparse.images)},
        "boxes": {"train": sum(kept.values()), "removed": sum(removed.values())},
        "classes": {
            name: {"train": kept.get(name, 0), "removed": count} for name, count in removed.items()
        },
    }
    copyfile(released.file, folder / "train.json")
    write_coco(released.removed, folder / "removed.json")
    write_json(folder / RECORD, record, indent=2)
    return record


class _Matching:
    """The boxes of both files, with images and classes in the full file's ids."""

    def __init__(self, file: Path, sparse: Dataset, full: Dataset) -> None:
        self.sparse, self.full = sparse.table, full.table
        images = _same_images(file, sparse.images, full.images)
        classes = _same_classes(file, sparse, full)
        self.image = _translated(self.sparse.image_ids, images)
        self.category = _translated(self.sparse.category_ids, classes)

    def by_id(self) -> IntArray:
        """Return for every sparse box the row of the full one with its id, or -1; shape (N,)."""
        if len(self.full) == 0:
            return np.full(len(self.sparse), _NONE, dtype=np.int64)
        order = np.argsort(self.full.ids)
        places = np.searchsorted(self.full.ids[order], self.sparse.ids)
        rows = order[np.minimum(places, len(order) - 1)]
        same: BoolArray = (
            (self.full.ids[rows] == self.sparse.ids)
            & (self.full.image_ids[rows] == self.image)
            & (self.full.category_ids[rows] == self.category)
            & (np.abs(self.full.xyxy[rows] - self.sparse.xyxy).max(axis=1) <= SAME_PLACE)
        )
        return np.where(same, rows, _NONE)

    def by_place(self, found: IntArray) -> IntArray:
        """Match each remaining box with the nearest unmatched full box; shape (N,)."""
        waiting = np.flatnonzero(found == _NONE)
        if len(waiting) == 0:
            return found
        found = found.copy()
        free = np.ones(len(self.full), dtype=np.bool_)
        free[found[found != _NONE]] = False
        others = _rows_by_key(self.full.image_ids, self.full.category_ids, np.flatnonzero(free))
        for key, rows in _rows_by_key(self.image, self.category, waiting).items():
            candidates = others.get(key, [])
            for row, other in _nearest_first(self.sparse, rows, self.full, candidates):
                if found[row] == _NONE and free[other]:
                    found[row], free[other] = other, False
        return found


def _nearest_first(
    sparse: BoxTable, rows: Sequence[int], full: BoxTable, others: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the pairs of boxes at the same position, the closest first."""
    if not others:
        return []
    distance = np.abs(sparse.xyxy[rows][:, None] - full.xyxy[others][None]).max(axis=2)
    pairs: npt.NDArray[np.intp] = np.argwhere(distance <= SAME_PLACE)
    order = np.argsort(distance[tuple(pairs.T)], kind="stable")
    return [(rows[first], others[second]) for first, second in pairs[order].tolist()]


def _rows_by_key(
    images: IntArray, categories: IntArray, rows: npt.NDArray[np.intp]
) -> dict[tuple[int, int], list[int]]:
    """Return the rows of every image and class."""
    grouped: dict[tuple[int, int], list[int]] = {}
    keys = zip(images[rows].tolist(), categories[rows].tolist(), strict=True)
    for row, key in zip(rows.tolist(), keys, strict=True):
        grouped.setdefault(key, []).append(row)
    return grouped


def _same_images(file: Path, sparse: Sequence[Image], full: Sequence[Image]) -> dict[int, int]:
    """Return the full file's image id for each sparse one.

    Raises:
        AnnotationError: when the full file lacks images.
    """
    rows = same_images([image.file_name for image in sparse], [image.file_name for image in full])
    same = {
        image.id: full[row].id for image, row in zip(sparse, rows, strict=True) if row is not None
    }
    if missing := [image.file_name for image in sparse if image.id not in same]:
        raise AnnotationError(
            f"{file}: {len(missing)} of {len(sparse)} images are not in the full file "
            f"(first: {missing[0]}); is it the file that the split was made from?"
        )
    return same


def _same_classes(file: Path, sparse: Dataset, full: Dataset) -> dict[int, int]:
    by_name = {category.name: category.id for category in full.categories}
    if missing := [item.name for item in sparse.categories if item.name not in by_name]:
        raise AnnotationError(
            f"{file}: {len(missing)} of {len(sparse.categories)} classes are not in the full file "
            f"(first: {missing[0]}); is it the file that the split was made from?"
        )
    return {category.id: by_name[category.name] for category in sparse.categories}


def _translated(ids: IntArray, others: dict[int, int]) -> IntArray:
    values: Iterable[int] = (others[id] for id in ids.tolist())
    return np.fromiter(values, dtype=np.int64, count=len(ids))
