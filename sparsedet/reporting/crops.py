"""Crops of mined boxes by class: the most certain, the most doubtful, the rejected.

A page shows the first few of each group, and how many there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Dataset, Image, read_image
from sparsedet.annotations.image_names import original_name
from sparsedet.ledger import LedgerBox
from sparsedet.reporting.links import TaskLinks
from sparsedet.reporting.pictures import OUTCOME_STYLES, DrawnBox, draw_boxes, jpeg_uri

SIZE = 192
"""Longer side of a crop, pixels."""
MAX_CROPS = 480
"""Maximum per page, at about 8 kB each: with many classes, each has fewer than requested."""
MAX_CLASSES = 60
"""Maximum number of classes with crops: those with the most mined boxes."""
_GROUPS = 3
_AROUND = 1.8
"""Side of a crop relative to the box's longer side: context helps to judge it."""
_LEAST = 40
"""Minimum side of a crop in image pixels: a tiny box needs more context."""
_QUALITY = 78


@dataclass(frozen=True, slots=True)
class Crop:
    """A mined box, cropped with a margin."""

    data_uri: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    file_name: str
    """The image's original name."""
    outcome: str
    score: float
    """The model's score, 0 to 1."""
    expected: float | None
    """Expected precision, 0 to 1; None: not estimated."""
    link: str
    """Link to its image; empty: none."""


@dataclass(frozen=True, slots=True)
class CropGroup:
    """Some boxes of a class."""

    heading: str
    crops: tuple[Crop, ...]
    boxes: int
    """Total number of boxes in the group."""


@dataclass(frozen=True, slots=True)
class ClassCrops:
    """The crops of a class."""

    category: str
    """Class name, as mined."""
    boxes: int
    """Number of its mined boxes."""
    groups: tuple[CropGroup, ...]
    """Non-empty groups."""


@dataclass(frozen=True, slots=True)
class CropSection:
    """The crops of a page."""

    classes: tuple[ClassCrops, ...] = ()
    """By descending number of mined boxes."""
    left_out: int = 0
    """Number of classes beyond `MAX_CLASSES`."""


def crop_section(
    boxes: Iterable[LedgerBox], dataset: Dataset, folder: Path, links: TaskLinks, count: int
) -> CropSection:
    """Return the crops of each class.

    Excludes withdrawn boxes, and those of images that `dataset` lacks.

    Args:
        boxes: of the ledger.
        dataset: the dataset with their images.
        folder: the image folder.
        links: links to images.
        count: maximum number of crops per group.

    Raises:
        AnnotationError: when an image can't be read.
    """
    images = {image.tool_id: image for image in dataset.images if image.tool_id is not None}
    by_class: dict[str, list[LedgerBox]] = {}
    for box in boxes:
        if box.image_tool_id in images and box.outcome != "withdrawn":
            by_class.setdefault(box.category, []).append(box)
    ranked = sorted(by_class, key=lambda name: (-len(by_class[name]), name))
    names = ranked[:MAX_CLASSES]
    if not count or not names:
        return CropSection()
    count = max(1, min(count, MAX_CROPS // (_GROUPS * len(names))))
    chosen = {name: _chosen(by_class[name], count) for name in names}
    wanted = (box for groups in chosen.values() for _, found, _ in groups for box in found)
    crops = _cut(wanted, images, folder, links)
    classes = (
        ClassCrops(
            name,
            len(by_class[name]),
            tuple(
                CropGroup(heading, tuple(crops[box.region_id] for box in found), total)
                for heading, found, total in chosen[name]
            ),
        )
        for name in names
    )
    return CropSection(tuple(classes), len(ranked) - len(names))


def _chosen(boxes: Sequence[LedgerBox], count: int) -> list[tuple[str, Sequence[LedgerBox], int]]:
    """Return heading, boxes and total of each non-empty group of a class; groups are disjoint."""
    rejected = sorted(
        (box for box in boxes if box.outcome == "rejected"),
        key=lambda box: (-box.score, box.region_id),
    )
    others = sorted(
        (box for box in boxes if box.outcome != "rejected"),
        key=lambda box: (-box.chance, -box.score, box.region_id),
    )
    doubtful = others[count:][: -count - 1 : -1]
    groups = (
        ("Surest", others[:count], len(others)),
        ("Most doubtful", doubtful, len(others)),
        ("Rejected, most certain first", rejected[:count], len(rejected)),
    )
    return [group for group in groups if group[1]]


def _cut(
    boxes: Iterable[LedgerBox], images: dict[str, Image], folder: Path, links: TaskLinks
) -> dict[str, Crop]:
    """Return the crops by region id; reads each image once, one at a time."""
    by_image: dict[str, list[LedgerBox]] = {}
    for box in boxes:
        by_image.setdefault(box.image_tool_id, []).append(box)
    crops: dict[str, Crop] = {}
    for tool_id, found in by_image.items():
        image = images[tool_id]
        pixels = read_image(image, folder)
        for box in found:
            picture = crop_picture(pixels, box)
            crops[box.region_id] = Crop(
                data_uri=jpeg_uri(picture, _QUALITY),
                width=picture.shape[1],
                height=picture.shape[0],
                file_name=original_name(image.file_name, image.tool_id),
                outcome=box.outcome,
                score=box.score,
                expected=box.expected_precision,
                link=links.of_box(box),
            )
    return crops


def crop_picture(pixels: NDArray[np.uint8], box: LedgerBox) -> NDArray[np.uint8]:
    """Return a box with its context, drawn in the style of its outcome.

    Args:
        pixels: the whole image, BGR, shape (H, W, 3).
        box: drawn where the reviewer left it.

    Returns:
        BGR, shape (h, w, 3), with longer side `SIZE`: square if the image allows.
    """
    xyxy = box.final_xyxy or box.xyxy
    left, top, right, bottom = crop_window(xyxy, pixels.shape[1], pixels.shape[0])
    cut = pixels[top:bottom, left:right]
    scale = SIZE / max(cut.shape[:2])
    width, height = (max(1, round(edge * scale)) for edge in (right - left, bottom - top))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(cut, (width, height), interpolation=smooth), dtype=np.uint8)
    x1, y1, x2, y2 = xyxy
    moved = (x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale
    drawn = DrawnBox(moved, "", OUTCOME_STYLES[box.outcome])
    return draw_boxes(scaled, [drawn], max_width=width)


def crop_window(xyxy: XYXY, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square around a box, shifted and clipped into the image.

    Args:
        xyxy: absolute pixels.
        width: of the image, pixels.
        height: of the image, pixels.

    Returns:
        Left, top, right and bottom in whole pixels, never empty.
    """
    left, top, right, bottom = xyxy
    side = max(_AROUND * max(right - left, bottom - top), _LEAST)
    x1, x2 = _span((left + right) / 2, side, width)
    y1, y2 = _span((top + bottom) / 2, side, height)
    return x1, y1, x2, y2


def _span(centre: float, side: float, length: int) -> tuple[int, int]:
    side = min(round(side), length)
    start = min(max(round(centre - side / 2), 0), length - side)
    return start, start + side
