"""Withdrawal of unreviewed boxes, and renames of images.

A person may have already imported `to_review.json` into another tool, which we can't know. So
withdrawn boxes move to `withdrawn.json`: they are no longer offered, but a review of them that
still arrives can be read and counts. A key in `to_review.json` would not be enough: annotation
tools don't know it, so people would keep reviewing them.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from sparsedet.annotations import Box, Dataset, Image, write_coco
from sparsedet.atomic_io import remove_half_written

from .review_files import (
    ALONE,
    EARLIER_NAMES,
    INSTRUCTIONS,
    MINED,
    PICTURES,
    TO_REVIEW,
    WITHDRAWN,
    ReviewVersion,
)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Withdrawn boxes and images."""

    images: frozenset[str] = frozenset()
    """Tool ids of images that are no longer up."""
    trimmed: frozenset[str] = frozenset()
    """Tool ids of images that lost some of their boxes."""
    region_ids: frozenset[str] = frozenset()


def withdraw(
    version: ReviewVersion,
    *,
    region_ids: Collection[str] = (),
    images: Collection[str] = (),
    kept: Collection[str] = (),
    dry_run: bool = False,
) -> Withdrawal:
    """Withdraw boxes of a model version from unreviewed images.

    Args:
        version: the version as read.
        region_ids: mined boxes to withdraw; an image without other mined boxes is withdrawn too.
        images: tool ids of images to withdraw with all their boxes.
        kept: tool ids of images that stay up without mined boxes.
        dry_run: only return what would be withdrawn.
    """
    whole: set[str] = set()
    gone: dict[str, set[str]] = {}
    for tool_id, offer in version.waiting.items():
        ids = offer.mined.keys() if tool_id in images else offer.mined.keys() & set(region_ids)
        if tool_id in images or (ids and ids == offer.mined.keys() and tool_id not in kept):
            whole.add(tool_id)
        if tool_id in images or ids:
            gone[tool_id] = set(ids)
    if gone and not dry_run:
        # In this order: a killed process leaves an image in both files, which counts as up.
        write_coco(_withdrawn(version, whole, gone), version.folder / WITHDRAWN)
        write_coco(_still_up(version.shown, whole, gone), version.folder / TO_REVIEW)
    return Withdrawal(
        frozenset(whole),
        frozenset(gone.keys() - whole),
        frozenset(id for ids in gone.values() for id in ids),
    )


def left_plain(version: ReviewVersion, region_ids: Collection[str]) -> frozenset[str]:
    """Return images without mined boxes to withdraw together with `region_ids`.

    They stay while another mined box of the version is up.
    """
    up = (id for offer in version.waiting.values() for id in offer.mined)
    return frozenset() if any(id not in region_ids for id in up) else version.plain


def remove_if_empty(version: ReviewVersion, region_ids: Collection[str]) -> None:
    """Remove a version's folder if all its boxes are in `region_ids` and nobody used it.

    Args:
        version: the version before the withdrawal.
        region_ids: mined boxes that are withdrawn for good.
    """
    remove_half_written(version.folder)  # from a killed push or undo
    ours = {TO_REVIEW, WITHDRAWN, INSTRUCTIONS, PICTURES}
    has_others = any(path.name not in ours for path in version.folder.iterdir())
    if not has_others and version.region_ids <= set(region_ids):
        shutil.rmtree(version.folder)


def rename(version: ReviewVersion, images: Mapping[str, str]) -> None:
    """Record new names of images (old -> new) in a version; reviews under old names still count."""
    for dataset, name in ((version.withdrawn, WITHDRAWN), (version.shown, TO_REVIEW)):
        renamed = [_renamed(image, images) for image in dataset.images]
        if tuple(renamed) != dataset.images:
            write_coco(replace(dataset, images=tuple(renamed)), version.folder / name)


def _renamed(image: Image, images: Mapping[str, str]) -> Image:
    new = images.get(image.tool_id or image.file_name)
    if new is None:
        return image
    earlier = [*image.extra.get(EARLIER_NAMES, ()), image.file_name]
    return replace(image, file_name=new, tool_id=new, extra={**image.extra, EARLIER_NAMES: earlier})


def _still_up(shown: Dataset, whole: Collection[str], gone: Mapping[str, set[str]]) -> Dataset:
    kept = [image for image in shown.images if _id(image) not in whole]
    boxes = [
        box
        for image in kept
        for box in shown.boxes_by_image[image.id]
        if box.origin != MINED or box.tool_id not in gone.get(_id(image), ())
    ]
    return replace(shown, images=tuple(kept), boxes=tuple(boxes))


def _withdrawn(
    version: ReviewVersion, whole: Collection[str], gone: Mapping[str, set[str]]
) -> Dataset:
    """Return the content of `withdrawn.json` with images and boxes added."""
    before, shown = version.withdrawn, version.shown
    known = {_id(image): image for image in before.images}
    groups: list[tuple[Image, Sequence[Box]]] = [
        (image, before.boxes_by_image[image.id])
        for image in before.images
        if _id(image) not in gone
    ]
    for image in shown.images:
        if (tool_id := _id(image)) not in gone:
            continue
        boxes = [
            box
            for box in shown.boxes_by_image[image.id]
            if tool_id in whole or (box.origin == MINED and box.tool_id in gone[tool_id])
        ]
        fresh = {box.tool_id for box in boxes}
        earlier = known.get(tool_id)
        old = [
            box
            for box in (before.boxes_by_image[earlier.id] if earlier else ())
            if box.origin == MINED and box.tool_id not in fresh
        ]
        alone = old if tool_id in whole else [*old, *boxes]
        kept = boxes if tool_id in whole else []
        marked = [replace(box, extra={**box.extra, ALONE: True}) for box in alone]
        groups.append((image, [*kept, *marked]))
    images, boxes_of_all = _numbered(groups)
    return replace(shown, images=images, boxes=boxes_of_all)


def _numbered(
    groups: Sequence[tuple[Image, Sequence[Box]]],
) -> tuple[tuple[Image, ...], tuple[Box, ...]]:
    numbers: Iterator[int] = count(1)
    images = []
    boxes = []
    for number, (image, own) in enumerate(groups, start=1):
        images.append(replace(image, id=number))
        boxes += [replace(box, id=next(numbers), image_id=number) for box in own]
    return tuple(images), tuple(boxes)


def _id(image: Image) -> str:
    return image.tool_id or image.file_name
