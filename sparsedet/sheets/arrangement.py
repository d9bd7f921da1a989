"""Which mined boxes share a contact sheet, and their positions on it.

A sheet shows one class, the most certain boxes first: similar crops are judged fastest, and one
that stands out is most likely wrong.
"""

import hashlib
from collections.abc import Iterable, Sequence

from sparsedet.annotations import XYXY, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.sheets.layout import Crop, Sheet

COLUMNS, ROWS = 6, 4
CROPS = COLUMNS * ROWS
"""Maximum number of crops per sheet: as many as fit a screen without scrolling."""
CELL = 150
"""Side in pixels of the square that a crop is fitted into."""
GAP = 10
"""Margin in pixels around each square."""

_MARGIN = 0.4
"""Context around a box in its crop, as a share of the box's longer side ..."""
_LEAST_WINDOW = 48.0
"""... and the minimum side of a crop in pixels of the image."""


def arrange(boxes: Iterable[MinedBox], dataset: Dataset) -> list[Sheet]:
    """Return the sheets for mined boxes, in class order.

    The same boxes give the same sheets, in any order.

    Args:
        boxes: of images of `dataset`.
        dataset: pulled from an annotation tool.

    Raises:
        SparseDetError: when an image has no tool id.
    """
    by_class: dict[int, list[MinedBox]] = {category.id: [] for category in dataset.categories}
    for box in boxes:
        by_class[box.category_id].append(box)
    sheets: list[Sheet] = []
    for category in dataset.categories:
        own = sorted(by_class[category.id], key=_surest_first)
        for start in range(0, len(own), CROPS):
            sheets.append(_sheet(category.name, own[start : start + CROPS], dataset))
    return sheets


def _surest_first(box: MinedBox) -> tuple[float, str]:
    sure = box.score if box.expected_precision is None else box.expected_precision
    return -sure, box.region_id


def _sheet(category: str, boxes: Sequence[MinedBox], dataset: Dataset) -> Sheet:
    crops = tuple(
        _crop(box, dataset.image_by_id[box.image_id], number) for number, box in enumerate(boxes)
    )
    rows = -(-len(boxes) // COLUMNS)
    size = GAP + COLUMNS * (CELL + GAP), GAP + rows * (CELL + GAP)
    text = "|".join([category, *(crop.region_id for crop in crops)])
    name = "sheet-" + hashlib.sha256(text.encode()).hexdigest()[:16]
    return Sheet(name, category, size, crops)


def _crop(box: MinedBox, image: Image, number: int) -> Crop:
    if image.tool_id is None:
        raise SparseDetError(
            f"image id {image.id} ({image.file_name}) has no tool_id: contact sheets need a "
            "dataset that was pulled from an annotation tool"
        )
    window = _window(box.xyxy, image)
    width, height = window[2] - window[0], window[3] - window[1]
    scale = CELL / max(width, height)
    # Whole pixels, like the picture: a reviewer's changes map back exactly.
    across, down = max(round(width * scale), 1), max(round(height * scale), 1)
    left = GAP + number % COLUMNS * (CELL + GAP) + (CELL - across) // 2
    top = GAP + number // COLUMNS * (CELL + GAP) + (CELL - down) // 2
    place = (float(left), float(top), float(left + across), float(top + down))
    return Crop(box.region_id, image.tool_id, (image.width, image.height), window, place)


def _window(xyxy: XYXY, image: Image) -> XYXY:
    """Return the region of an image to show around a box, in whole pixels."""
    left, top, right, bottom = xyxy
    longer = max(right - left, bottom - top)
    half_width, half_height = (
        max((side + 2 * _MARGIN * longer) / 2, _LEAST_WINDOW / 2)
        for side in (right - left, bottom - top)
    )
    across, down = (left + right) / 2, (top + bottom) / 2
    window = (
        float(max(int(across - half_width), 0)),
        float(max(int(down - half_height), 0)),
        float(min(int(across + half_width) + 1, image.width)),
        float(min(int(down + half_height) + 1, image.height)),
    )
    if window[2] <= window[0] or window[3] <= window[1]:
        raise SparseDetError(f"mined box {list(xyxy)} is outside of image id {image.id}")
    return window
