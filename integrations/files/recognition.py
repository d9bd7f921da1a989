"""Which reviewed annotation is which of the boxes that were put up.

Annotation tools number annotations anew and drop keys that they don't know. Where a box has lost
its id, its place tells.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import XYXY, Box
from sparsedet.annotations.matching import iou_matrix
from sparsedet.tool import ReviewedRegion

from .review_files import Offer

MIN_IOU = 0.5
"""From here on an annotation may be the box that was put up there, moved."""
UNMOVED_IOU = 0.9
"""From here on it is the box as it was put up, but for rounding."""

UNSURE = "unsure"
"""The `note` of an annotation that the reviewer left undecided."""

_ID_KEYS = ("tool_id", "region_id")


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An annotation of a review, before it is known which box it is."""

    category: str
    xyxy: XYXY
    """Absolute pixels of the upright image."""
    ids: tuple[str, ...]
    """Region ids that it claims."""
    unsure: bool


def found_box(box: Box, category: str) -> FoundBox:
    """Return an annotation of a review, by its keys or its `attributes`, as some tools have it."""
    attributes = box.extra.get("attributes")
    keys = {**(attributes if isinstance(attributes, Mapping) else {}), **box.extra}
    ids = [box.tool_id, *(keys.get(key) for key in _ID_KEYS)]
    return FoundBox(
        category=category,
        xyxy=box.xyxy,
        ids=tuple(str(id) for id in ids if id is not None),
        unsure=str(keys.get("note", "")).strip().casefold() == UNSURE,
    )


def recognise(offer: Offer, found: Sequence[FoundBox]) -> tuple[ReviewedRegion, ...]:
    """Return the regions of a review: the boxes that were put up by their ids, others by new ones.

    A box that kept its id is known by it. The others are matched one to one by place, from an IoU
    of `MIN_IOU`: unmoved boxes before moved ones, then those of the same class before renamed
    ones, people's before mined ones, and the best overlap first, the surest of equals. A new id is
    made from file name, class and place, so that it is the same at the next reading.
    """
    offered = [*offer.human.values(), *offer.mined.values()]
    overlap = iou_matrix([region.xyxy for region in offered], [box.xyxy for box in found])
    known: dict[int, str] = {}
    taken: set[str] = set()
    for row, column in _pairs(offer, offered, found, overlap):
        if column not in known and offered[row].region_id not in taken:
            known[column] = offered[row].region_id
            taken.add(known[column])
    regions = []
    for column, box in enumerate(found):
        id = known.get(column) or _new_id(offer.image.file_name, box, taken)
        taken.add(id)
        regions.append(ReviewedRegion(id, box.category, box.xyxy, box.unsure))
    return tuple(regions)


def _pairs(
    offer: Offer,
    offered: Sequence[ReviewedRegion],
    found: Sequence[FoundBox],
    overlap: Any,
) -> Iterator[tuple[int, int]]:
    """Yield (offered, found) that may be one box, the likeliest first."""
    ranked: list[tuple[tuple[float, ...], int, int]] = []
    for row, region in enumerate(offered):
        for column, box in enumerate(found):
            iou = float(overlap[row, column])
            claimed = region.region_id in box.ids
            if not claimed and iou < MIN_IOU:
                continue
            rank = (
                not claimed,
                not claimed and iou < UNMOVED_IOU,
                region.category != box.category,
                region.region_id in offer.mined,
                -iou,
                -offer.scores.get(region.region_id, 0.0),
            )
            ranked.append((rank, row, column))
    for _, row, column in sorted(ranked):
        yield row, column


def _new_id(file_name: str, box: FoundBox, taken: set[str]) -> str:
    text = "|".join([file_name, box.category, *(f"{value:.2f}" for value in box.xyxy)])
    id = "drawn-" + hashlib.sha256(text.encode()).hexdigest()[:16]
    return id if id not in taken else _new_id(file_name + "|", box, taken)
