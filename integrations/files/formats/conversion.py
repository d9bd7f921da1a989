"""Conversion of label files to a `Dataset`, and what they can't store of one."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.corners import Numbers, seem_corners
from sparsedet.annotations.entries import THINNEST
from sparsedet.annotations.faults import (
    BOX_CLIPPED,
    BOX_OUTSIDE,
    BOX_WITHOUT_AREA,
    Faults,
    FaultyEntryError,
)
from sparsedet.errors import AnnotationError
from sparsedet.wording import counted, first_of

from .image_folders import is_listed

logger = logging.getLogger(__name__)

_SHOWN = 10
"""Maximum number of classes to name."""

Holds = Callable[[str, Any], bool]
"""Whether a format can store a key with this value."""


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box before ids are assigned."""

    category: str
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    area: float | None = None
    """Area of the object's polygon in square pixels; None for that of the box."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    iscrowd: bool = False
    """See `Box.iscrowd`."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image with its boxes in the order of its file."""

    file_name: str
    width: int
    height: int
    boxes: Sequence[LabelledBox]
    extra: Mapping[str, Any] = field(default_factory=dict)


class Clipper:
    """Clips boxes to their images, and counts those that reached over the edge.

    Args:
        source: the file or folder that is read, for messages.
        faults: records clipped boxes.
        centered: whether the format has the center and size of a box.
    """

    def __init__(self, source: Path, faults: Faults, *, centered: bool = False) -> None:
        self._source = source
        self._faults = faults
        self._clipped: list[str] = []
        self._centered: list[tuple[XYXY, tuple[int, int]]] | None = [] if centered else None

    def clip(self, where: str, xyxy: XYXY, size: tuple[int, int], slack: float) -> XYXY:
        """Return the part of a box inside its image.

        Args:
            where: names the box in errors.
            xyxy: absolute pixels of the upright image.
            size: (width, height) of the image.
            slack: pixels; a box that reaches out by at most this much causes no warning.

        Raises:
            AnnotationError: if the box has no area there.
        """
        left, top, right, bottom = xyxy
        if self._centered is not None:
            self._centered.append((xyxy, size))
        if min(right - left, bottom - top) < THINNEST:
            raise FaultyEntryError(BOX_WITHOUT_AREA, f"{where}: the box has no area")
        inside = (
            max(left, 0.0),
            max(top, 0.0),
            min(right, float(size[0])),
            min(bottom, float(size[1])),
        )
        if min(inside[2] - inside[0], inside[3] - inside[1]) < THINNEST:
            raise FaultyEntryError(
                BOX_OUTSIDE, f"{where}: the box lies outside its image of {size[0]} x {size[1]}"
            )
        if max(abs(a - b) for a, b in zip(inside, xyxy, strict=True)) > slack:
            self._clipped.append(where)
        return inside

    def warn(self) -> None:
        """Record clipped boxes as faults; in strict reading, log one warning with their number.

        Raises:
            AnnotationError: if all boxes seem to be two corners instead of center and size.
        """
        if self._clipped and self._centered and seem_corners(map(_as_written, self._centered)):
            raise AnnotationError(
                f"{self._source}: each box seems to be x1 y1 x2 y2, not cx cy width height as in "
                f"YOLO, with which {len(self._clipped)} of {len(self._centered)} extend beyond "
                "their image; convert them to center and size"
            )
        if not self._faults.strict:
            for where in self._clipped:
                place = Path(where.partition(": ")[0]).name + where.partition(":")[2]
                self._faults.note(BOX_CLIPPED, place, f"{where}: {BOX_CLIPPED.what}")
        elif self._clipped:
            logger.warning(
                "%s: clipped %s that reached over the edge of the image (first: %s)",
                self._source,
                counted(len(self._clipped), "box"),
                self._clipped[0],
            )


def _as_written(box: tuple[XYXY, tuple[int, int]]) -> Numbers:
    (left, top, right, bottom), size = box
    center = ((left + right) / 2, (top + bottom) / 2)
    return (*center, right - left, bottom - top), box[0], size


def to_dataset(images: Iterable[LabelledImage], categories: Sequence[Category]) -> Dataset:
    """Return a dataset: images numbered from 1 by file name, boxes by image and order in its file.

    Args:
        images: in any order.
        categories: all classes of the boxes.
    """
    ids = {category.name: category.id for category in categories}
    numbered: list[Image] = []
    boxes: list[Box] = []
    ordered = sorted(images, key=lambda image: image.file_name)
    for number, image in enumerate(ordered, start=1):
        numbered.append(
            Image(number, image.file_name, image.width, image.height, extra=image.extra)
        )
        for box in image.boxes:
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=number,
                    category_id=ids[box.category],
                    xyxy=box.xyxy,
                    iscrowd=box.iscrowd,
                    area=box.area,
                    extra=box.extra,
                )
            )
    return Dataset(tuple(numbered), tuple(boxes), tuple(categories))


def with_split(dataset: Dataset, names: Iterable[str]) -> Dataset:
    """Return the part of a dataset on images with these file names."""
    wanted = set(names)
    return dataset.with_images(image for image in dataset.images if image.file_name in wanted)


def real_splits(splits: Mapping[str, Collection[str]]) -> list[str]:
    """Return the splits if they divide the images; none if one of two contains the other.

    Args:
        splits: split -> its images.
    """
    different: dict[frozenset[str], str] = {}
    for name in ("train", "val", "test"):
        if images := frozenset(splits.get(name, ())):
            different.setdefault(images, name)
    return list(different.values()) if len(different) > 1 else []


def common_losses(
    dataset: Dataset, *, box_keys: Holds, image_keys: Holds, class_ids: Mapping[int, int]
) -> list[str]:
    """Return what formats with only classes and boxes lose, one phrase per kind.

    Args:
        dataset: the dataset to write.
        box_keys: extra keys of boxes that the format can store.
        image_keys: extra keys of images that it can store.
        class_ids: category id -> its id when read back.
    """
    boxes = [box for box in dataset.boxes if not box.iscrowd]
    crowds = len(dataset.boxes) - len(boxes)
    lost = [
        loss("crowd regions, left out", crowds),
        loss("verified negatives, left out", len(dataset.verified_negatives)),
        loss("marks of exhaustive images", sum(image.exhaustive for image in dataset.images)),
        loss(
            "marks of complete classes, by image",
            sum(bool(image.complete_classes) for image in dataset.images),
        ),
        loss("origins of boxes", sum(box.origin is not None for box in boxes)),
        loss("tool ids of images and boxes", _tool_ids(dataset, boxes)),
        _keys("boxes", (box.extra for box in boxes), box_keys),
        _keys("images", (image.extra for image in dataset.images), image_keys),
        _keys("classes", (category.extra for category in dataset.categories), _none),
        _keys("the file", [dataset.extra], _none),
        loss("ids of images, boxes and classes, renumbered", _new_ids(dataset, boxes, class_ids)),
    ]
    return [text for text in lost if text]


def loss(what: str, number: int) -> str:
    """Return a phrase like `crowd regions (3)`; empty for none."""
    return f"{what} ({number})" if number else ""


def with_listed_images(dataset: Dataset) -> Dataset:
    """Return a dataset without images that no reader of folders would find again."""
    kept = [image for image in dataset.images if is_listed(image.file_name)]
    return dataset if len(kept) == len(dataset.images) else dataset.with_images(kept)


def unlisted_images(dataset: Dataset) -> str:
    """Return a phrase on the images that `with_listed_images` leaves out; empty for none."""
    left_out = sum(not is_listed(image.file_name) for image in dataset.images)
    return loss("images that are hidden or have no suffix of images, left out", left_out)


def unused_classes(dataset: Dataset, used: Collection[int]) -> str:
    """Return a phrase on the classes without boxes, with the first names; empty for none.

    Args:
        dataset: the dataset to write.
        used: ids of classes with boxes.
    """
    names = [category.name for category in dataset.categories if category.id not in used]
    return loss(f"classes without boxes: {first_of(names, _SHOWN)}", len(names))


def has_own_area(box: Box) -> bool:
    """Whether a box has another area than its rectangle, such as that of a mask."""
    return box.area is not None and abs(box.area - box.width * box.height) > max(box.area, 1) / 1000


def _keys(owner: str, extras: Iterable[Mapping[str, Any]], holds: Holds) -> str:
    """Return a phrase like `keys of boxes: score (3), segmentation (40)`."""
    counts = Counter(
        key for extra in extras for key, value in extra.items() if not holds(key, value)
    )
    listed = ", ".join(f"{key} ({counts[key]})" for key in sorted(counts))
    return f"keys of {owner}: {listed}" if listed else ""


def _tool_ids(dataset: Dataset, boxes: Sequence[Box]) -> int:
    return sum(item.tool_id is not None for items in (dataset.images, boxes) for item in items)


def _new_ids(dataset: Dataset, boxes: Sequence[Box], class_ids: Mapping[int, int]) -> int:
    """Return how many images, boxes and classes would have another id when read back."""
    names = {image.id: image.file_name for image in dataset.images}
    images = sorted(names, key=lambda id: names[id])
    ordered = [box.id for box in sorted(boxes, key=lambda box: names[box.image_id])]
    changed = sum(id != number for ids in (images, ordered) for number, id in enumerate(ids, 1))
    return changed + sum(before != after for before, after in class_ids.items())


def _none(key: str, value: Any) -> bool:
    return False
