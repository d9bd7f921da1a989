"""Reviews of pushed boxes, read from `reviewed.json`.

Annotation tools renumber annotations and drop unknown keys. A box that has lost its id is matched
by its coordinates.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sparsedet.annotations import XYXY, Box, Image
from sparsedet.annotations.matching import iou_matrix
from sparsedet.reviews import Review, ReviewedRegion, review_seconds, scaled
from sparsedet.wording import counted

from .review_files import Offer, ReviewedFile, ReviewVersion

logger = logging.getLogger(__name__)

MIN_IOU = 0.5
"""Minimum IoU for an annotation to be a pushed box that was moved."""

UNMOVED_IOU = 0.9
"""Minimum IoU for an annotation to be an unmoved pushed box, up to rounding."""

UNSURE = "unsure"
"""The `note` of an annotation that stays undecided."""

_ID_KEYS = ("tool_id", "region_id")
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An annotation of a review, before it is matched to a box."""

    category: str
    """Category; empty if not pushed or without a current name, so that the box is not judged."""
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    ids: tuple[str, ...]
    """Candidate region ids in its keys."""
    unsure: bool


def read_reviews(
    versions: Sequence[ReviewVersion], sizes: Mapping[str, tuple[int, int]]
) -> list[Review]:
    """Return all reviews of all model versions.

    Every image listed in a `reviewed.json` counts as reviewed. Other keys that are read:
    `images[].exhaustive` (every object has a box), `images[].complete_classes` (those of these
    categories have one), `images[].reviewer` or `info.contributor`, `images[].seconds`, and
    `annotations[].note` of "unsure".

    Args:
        versions: oldest first.
        sizes: tool id -> (width, height) to scale boxes to, if it differs from the pushed one.

    Raises:
        ToolError: naming file and id of an image, if many have another size than pushed.
    """
    reviews: list[Review] = []
    # Files don't record when each image was reviewed, and are saved again for every further image.
    # So a review is dated to the save of its file, but before the next version of the same image
    # was pushed, since its reviewer saw the newer boxes.
    latest: dict[str, datetime] = {}
    for version in reversed(versions):
        for file in version.files:
            unknown: list[str] = []
            for tool_id, image in version.reviewed_images[file.path].items():
                saved = max(file.saved, version.created)
                if tool_id in latest:
                    saved = min(saved, latest[tool_id] - _TICK)
                review = _review(version, file, tool_id, image, unknown)
                size = version.offers[tool_id].image.width, version.offers[tool_id].image.height
                review = _resized(review, size, sizes.get(tool_id))
                reviews.append(replace(review, saved_at=saved.isoformat(timespec="microseconds")))
            if unknown:
                logger.warning(
                    "%s: ignored %s with a category that was not pushed (first: %r); add it to the "
                    "project, or to [labels] rename",
                    file.path,
                    counted(len(unknown), "box"),
                    unknown[0],
                )
        for images in version.reviewed_images.values():
            latest |= {id: min(version.created, latest.get(id, version.created)) for id in images}
    return reviews[::-1]


def recognise(offer: Offer, found: Sequence[FoundBox]) -> tuple[ReviewedRegion, ...]:
    """Return the regions of a review: pushed boxes with their ids, others with new ones.

    A box that kept its id is identified by it. Others are matched one to one with an IoU of at
    least `MIN_IOU`: unmoved boxes before moved ones, then the same class before changed ones, human
    boxes before mined ones, then by overlap and score. A new id is derived from file name, class
    and coordinates, so that it is the same at the next reading.
    """
    offered = [*offer.human.values(), *offer.mined.values(), *offer.perhaps.values()]
    overlap = iou_matrix([region.xyxy for region in offered], [box.xyxy for box in found])
    known: dict[int, str] = {}
    taken: set[str] = set()
    for row, column in _pairs(offer, offered, found, overlap):
        if column not in known and offered[row].region_id not in taken:
            known[column] = offered[row].region_id
            taken.add(known[column])
    regions = []
    for column, box in enumerate(found):
        id = known.get(column) or _new_id(offer.file_names[0], box, taken)
        taken.add(id)
        regions.append(ReviewedRegion(id, box.category, box.xyxy, box.unsure))
    return tuple(regions)


def _review(
    version: ReviewVersion, file: ReviewedFile, tool_id: str, image: Image, unknown: list[str]
) -> Review:
    """Return the review of an image; unknown category names are added to `unknown`."""
    offer = version.offers[tool_id]
    regions = recognise(offer, _found(version, file, image, unknown))
    ids = {region.region_id for region in regions}
    unread = {region.region_id for region in regions if not region.category}
    perhaps = {id: box for id, box in offer.perhaps.items() if id in ids}
    shown = {**offer.human, **offer.mined, **perhaps}
    person = f"/{file.person}" if file.person else ""
    return Review(
        tool_id=tool_id,
        review_id=f"{version.offer_id(tool_id)}{person}",
        shown={id: region for id, region in shown.items() if id not in unread},
        regions=tuple(region for region in regions if region.region_id not in unread),
        reviewer=_reviewer(file, image),
        seconds=review_seconds(image.extra.get("seconds")),
        complete=image.exhaustive,
        offer=version.offer_id(tool_id),
        complete_classes=_complete_classes(version, file, offer, image),
    )


def _complete_classes(
    version: ReviewVersion, file: ReviewedFile, offer: Offer, image: Image
) -> frozenset[str]:
    """Return the current names of the classes that a review marks as complete.

    Of classes that have become one, each has to be complete.
    """
    # A tool may have renumbered the categories but kept an unknown key.
    is_as_offered = image.complete_classes == offer.image.complete_classes
    content = version.shown if is_as_offered else file.content
    names = {category.id: version.category(category.name) for category in content.categories}
    gaps = {name for id, name in names.items() if id not in image.complete_classes}
    return frozenset(names.values()) - gaps - {""}


def _resized(review: Review, size: tuple[int, int], to: tuple[int, int] | None) -> Review:
    if to in (None, size):
        return review
    return replace(
        review,
        shown={id: replace(r, xyxy=scaled(r.xyxy, size, to)) for id, r in review.shown.items()},
        regions=tuple(replace(r, xyxy=scaled(r.xyxy, size, to)) for r in review.regions),
    )


def _found(
    version: ReviewVersion, file: ReviewedFile, image: Image, unknown: list[str]
) -> list[FoundBox]:
    known = {version.category(category.name) for category in version.shown.categories}
    found = []
    for box in file.content.boxes_by_image[image.id]:
        stored = file.content.category_by_id[box.category_id].name
        name = version.category(stored)
        if name and name not in known:
            unknown.append(stored)
        found.append(_found_box(box, name if name in known else ""))
    return found


def _found_box(box: Box, category: str) -> FoundBox:
    """Convert an annotation of a review, with keys from itself or its `attributes`."""
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
    """Yield candidate pairs (offered, found) of the same box, the likeliest first."""
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
                region.region_id not in offer.human,
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


def _reviewer(file: ReviewedFile, image: Image) -> str | None:
    info = file.content.extra.get("info")
    contributor = info.get("contributor") if isinstance(info, Mapping) else None
    person = image.extra.get("reviewer") or file.person or contributor
    return str(person) if person else None
