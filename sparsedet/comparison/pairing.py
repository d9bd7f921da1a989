"""Correspondence between the boxes of a full and a sparse file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.image_names import same_images
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.errors import AnnotationError
from sparsedet.seeds import remixed
from sparsedet.sparsify.candidates import rows_of
from sparsedet.sparsify.orders import numbered
from sparsedet.wording import first_of

SAME_PLACE_IOU = 0.9
"""Minimum IoU of boxes at the same position: tools round, and convert to percent and back."""
_GRID = 100
"""Positions are first compared to a hundredth of a pixel; only the rest is compared by IoU."""
_ABSENT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N boxes on I images, crowd regions excluded.

    A file's entries take ten times the memory of its columns: keep these instead of the dataset.
    """

    images: tuple[Image, ...]
    classes: tuple[str, ...]
    id: IntArray
    """Shape (N,)."""
    image: IntArray
    """Shape (N,), rows of `images`."""
    category: IntArray
    """Shape (N,), rows of `classes`."""
    xyxy: FloatArray
    """Shape (N, 4), absolute pixels."""
    is_empty: BoolArray
    """Shape (I,): whether the image has no annotation, not even a crowd region."""

    @classmethod
    def of(cls, dataset: Dataset) -> "Boxes":
        """Return the boxes of a dataset, in file order."""
        table = dataset.table
        countable = ~table.iscrowd
        image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
        category_ids = np.array([category.id for category in dataset.categories], dtype=np.int64)
        return cls(
            images=dataset.images,
            classes=tuple(category.name for category in dataset.categories),
            id=table.ids[countable],
            image=rows_of(table.image_ids[countable], image_ids),
            category=rows_of(table.category_ids[countable], category_ids),
            xyxy=table.xyxy[countable],
            is_empty=~np.isin(image_ids, table.image_ids),
        )

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """What happened to the boxes of a full file: N boxes on I images."""

    kept: BoolArray
    """Shape (N,): whether the box has a counterpart in the sparse file."""
    present: BoolArray
    """Shape (I,): whether the image is in the sparse file."""
    changed: BoolArray
    """Shape (I,): whether the sparse file has boxes there that the full file lacks, or that
    differ."""
    moved: int
    """Number of boxes whose counterpart has the same class but another position."""
    renamed: int
    """Number of boxes whose counterpart has another class."""
    added: int
    """Number of boxes of the sparse file without counterpart."""
    foreign_images: int
    """Number of images of the sparse file that the full file lacks."""
    keeps_empty_images: bool
    """Whether the sparse file contains images without any annotation."""


def pair(full: Boxes, sparse: Boxes) -> Pairing:
    """Find the counterparts of a full file's boxes in a sparse file.

    Images are matched by file name (see `same_images`) and classes by name. A box is matched by its
    id if image, class and position agree, else by image, class and position; the rest are matched
    as moved or renamed boxes.

    Raises:
        AnnotationError: when the two files don't belong together, or are swapped.
    """
    _check_sizes(full, sparse)
    same = same_images(
        [image.file_name for image in sparse.images], [image.file_name for image in full.images]
    )
    image = np.array([_ABSENT if row is None else row for row in same], dtype=np.int64)
    classes = {name: row for row, name in enumerate(full.classes)}
    category = np.array([classes.get(name, _ABSENT) for name in sparse.classes], dtype=np.int64)
    _check_names(full, sparse, image)
    matcher = _Matcher(full, sparse, image[sparse.image], category[sparse.category])
    matcher.by_id()
    matcher.by_place()
    matcher.by_overlap()
    partner = matcher.partner
    if (found := int((partner >= 0).sum())) * 2 < len(sparse):
        raise AnnotationError(
            f"the two files don't belong together: only {found} of the {len(sparse)} boxes of the "
            "sparse file are in the full file"
        )
    kept = np.zeros(len(full), dtype=np.bool_)
    kept[partner[partner >= 0]] = True
    present = np.zeros(len(full.images), dtype=np.bool_)
    present[image[image >= 0]] = True
    changed = np.zeros(len(full.images), dtype=np.bool_)
    otherwise = ~matcher.same & (matcher.image >= 0)
    changed[matcher.image[otherwise]] = True
    return Pairing(
        kept=kept,
        present=present,
        changed=changed,
        moved=matcher.moved,
        renamed=matcher.renamed,
        added=len(sparse) - found,
        foreign_images=int((image < 0).sum()),
        keeps_empty_images=bool(sparse.is_empty.any()),
    )


class _Matcher:
    """Matches boxes in steps; what one step matches is no longer available to the next."""

    def __init__(self, full: Boxes, sparse: Boxes, image: IntArray, category: IntArray) -> None:
        self.full, self.sparse = full, sparse
        self.image, self.category = image, category
        """Images of sparse boxes, as rows of the full file; negative if it lacks them."""
        self.partner = np.full(len(sparse), _ABSENT, dtype=np.int64)
        """Classes of sparse boxes, as rows of the full ones."""
        self.same = np.zeros(len(sparse), dtype=np.bool_)
        """Whether the partner has the same class and position."""
        self.moved = self.renamed = 0
        self._same_id = np.full(len(sparse), _ABSENT, dtype=np.int64)

    def by_id(self) -> None:
        """Pair boxes with the same id if everything else agrees too."""
        full, sparse = self.full, self.sparse
        if not len(sparse):
            return
        order = np.argsort(full.id, kind="stable")
        places = np.minimum(np.searchsorted(full.id[order], sparse.id), len(full) - 1)
        row = order[places]
        on_image = (full.id[row] == sparse.id) & (full.image[row] == self.image)
        self._same_id[on_image] = row[on_image]
        agree = on_image & (full.category[row] == self.category)
        agree[agree] = _iou(full.xyxy[row[agree]], sparse.xyxy[agree]) >= SAME_PLACE_IOU
        self._take(np.flatnonzero(agree), row[agree])

    def by_place(self) -> None:
        """Pair boxes with the same image, class and position, regardless of ids."""
        ours, theirs = self._left()
        if not len(ours) or not len(theirs):
            return
        one = _place_keys(self.image[ours], self.category[ours], self.sparse.xyxy[ours])
        full = self.full
        two = _place_keys(full.image[theirs], full.category[theirs], full.xyxy[theirs])
        _, first, second = np.intersect1d(one, two, assume_unique=True, return_indices=True)
        self._take(ours[first], theirs[second])

    def by_overlap(self) -> None:
        """Pair the rest, image by image: same position, moved, or renamed."""
        ours, theirs = self._left()
        ours = ours[self.image[ours] >= 0]
        if not len(ours):
            return
        groups = _rows_by_image(theirs, self.full.image[theirs])
        for image, rows in _rows_by_image(ours, self.image[ours]).items():
            others = groups.get(image)
            if others is not None:
                self._pair_on_image(rows, others)

    def _pair_on_image(self, ours: IntArray, theirs: IntArray) -> None:
        ious = iou_matrix(self.sparse.xyxy[ours], self.full.xyxy[theirs])
        overlap: FloatArray = ious.astype(np.float64)
        one_class = self.category[ours][:, None] == self.full.category[theirs]
        one_id = self._same_id[ours][:, None] == theirs
        self._take(*self._matched(ours, theirs, overlap * one_class, SAME_PLACE_IOU))
        for likely, least in (
            (one_id.astype(np.float64), 1.0),
            (overlap * one_class, SAME_OBJECT_IOU),
            (overlap, SAME_PLACE_IOU),
        ):
            found, rows = self._matched(ours, theirs, likely, least)
            self.partner[found] = rows
            is_moved = self.category[found] == self.full.category[rows]
            self.moved += int(is_moved.sum())
            self.renamed += int((~is_moved).sum())

    def _matched(
        self, ours: IntArray, theirs: IntArray, likely: FloatArray, least: float
    ) -> tuple[IntArray, IntArray]:
        free = likely.copy()
        free[self.partner[ours] >= 0] = 0
        free[:, np.isin(theirs, self.partner[ours])] = 0
        columns = match(free, least)
        found = columns >= 0
        return ours[found], theirs[columns[found]]

    def _take(self, ours: npt.NDArray[np.intp], theirs: IntArray) -> None:
        self.partner[ours] = theirs
        self.same[ours] = True

    def _left(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        taken = np.zeros(len(self.full), dtype=np.bool_)
        taken[self.partner[self.partner >= 0]] = True
        return np.flatnonzero(self.partner < 0), np.flatnonzero(~taken)


def _iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the IoU of boxes with those in the same row; shape (N,)."""
    corner = np.maximum(boxes[:, :2], others[:, :2])
    sides = np.clip(np.minimum(boxes[:, 2:], others[:, 2:]) - corner, 0, None)
    shared = sides.prod(axis=1)
    areas = [(group[:, 2:] - group[:, :2]).prod(axis=1) for group in (boxes, others)]
    iou: FloatArray = shared / (areas[0] + areas[1] - shared)
    return iou


def _place_keys(image: IntArray, category: IntArray, xyxy: FloatArray) -> npt.NDArray[np.uint64]:
    """Return a unique number for the image, class and position of every box; shape (N,).

    The second of two equal boxes gets another number.
    """
    key = remixed(image.astype(np.uint64))
    for column in (category, *np.rint(xyxy * _GRID).astype(np.int64).T):
        key = remixed(key ^ column.astype(np.uint64))
    repeated = numbered(key.view(np.int64), np.arange(len(key)))
    return remixed(key + repeated.astype(np.uint64))


def _rows_by_image(rows: IntArray, image: IntArray) -> dict[int, IntArray]:
    order = np.argsort(image, kind="stable")
    images, starts = np.unique(image[order], return_index=True)
    return dict(zip(images.tolist(), np.split(rows[order], starts[1:]), strict=False))


def _check_sizes(full: Boxes, sparse: Boxes) -> None:
    if not len(full):
        raise AnnotationError("the full file has no boxes: there is nothing to compare")
    if len(sparse) > len(full):
        raise AnnotationError(
            f"the sparse file has more boxes ({len(sparse)}) than the full file ({len(full)}); "
            "are the two swapped?"
        )


def _check_names(full: Boxes, sparse: Boxes, image: IntArray) -> None:
    if not (image >= 0).any():
        theirs = sparse.images[0].file_name if sparse.images else "none"
        raise AnnotationError(
            "the two files have no image in common, by file name "
            f"(full: {full.images[0].file_name}, sparse: {theirs})"
        )
    if not set(full.classes) & set(sparse.classes):
        raise AnnotationError(
            "the two files have no class in common "
            f"(full: {first_of(full.classes)}; sparse: {first_of(sparse.classes)})"
        )
