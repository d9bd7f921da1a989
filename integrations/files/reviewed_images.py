"""`review`: what people made of the boxes that were pushed, read from `reviewed.json`.

Annotation tools renumber annotations and drop keys that they don't know. A box that has lost its id
is matched by its place.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import XYXY, Box, Image
from sparsedet.annotations.matching import iou_matrix
from sparsedet.errors import ToolError
from sparsedet.tool import ReviewedImage, ReviewedRegion

from .review_files import REVIEWED, TO_REVIEW, Offer, ReviewVersion

MIN_IOU = 0.5
"""From this IoU on, an annotation may be the box that was pushed, moved."""

UNMOVED_IOU = 0.9
"""From this IoU on, it is the box as it was pushed, but for rounding."""

UNSURE = "unsure"
"""The `note` of an annotation that the reviewer left undecided."""

_ID_KEYS = ("tool_id", "region_id")


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An annotation of a review, before it is known which box it is."""

    category: str
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    ids: tuple[str, ...]
    """Region ids that it claims."""
    unsure: bool


def read_reviewed(version: ReviewVersion) -> Mapping[str, ReviewedImage]:
    """Return the reviewed images of a model version, by their tool ids.

    Every image that `reviewed.json` lists counts as reviewed. Further keys that are read:
    `images[].exhaustive` (every object has a box), `images[].reviewer` or `info.contributor`,
    `images[].seconds`, and `annotations[].note` of "unsure".

    Raises:
        ToolError: naming file and id, for a category that was not pushed.
    """
    return {
        tool_id: ReviewedImage(
            tool_id=tool_id,
            regions=recognise(version.offers[tool_id], _found(version, image)),
            shown=frozenset({*version.offers[tool_id].human, *version.offers[tool_id].mined}),
            reviewer=_reviewer(version, image),
            seconds=_seconds(image),
            complete=image.exhaustive,
            review_id=f"{version.name}/{tool_id}",
        )
        for tool_id, image in version.reviewed_images.items()
    }


def recognise(offer: Offer, found: Sequence[FoundBox]) -> tuple[ReviewedRegion, ...]:
    """Return the regions of a review: the boxes that were pushed by their ids, others by new ones.

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


def _found(version: ReviewVersion, image: Image) -> list[FoundBox]:
    if version.reviewed is None:
        return []
    known = {category.name for category in version.shown.categories}
    found = []
    for box in version.reviewed.boxes_by_image[image.id]:
        name = version.reviewed.category_by_id[box.category_id].name
        if name not in known:
            raise ToolError(
                f"{version.folder / REVIEWED}: annotations id {box.id}: {TO_REVIEW} has no "
                f"category {name!r} (it has {', '.join(sorted(known))}); rename it there"
            )
        found.append(_found_box(box, name))
    return found


def _found_box(box: Box, category: str) -> FoundBox:
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


def _reviewer(version: ReviewVersion, image: Image) -> str | None:
    info = version.reviewed.extra.get("info") if version.reviewed else None
    contributor = info.get("contributor") if isinstance(info, Mapping) else None
    person = image.extra.get("reviewer") or contributor
    return str(person) if person else None


def _seconds(image: Image) -> float | None:
    seconds = image.extra.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None
