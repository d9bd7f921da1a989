"""Split the review of a sheet into reviews of the images on its crops."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import XYXY
from sparsedet.reviews import Review, ReviewedRegion, moved, scaled
from sparsedet.sheets.layout import Crop, Sheet

_THINNEST = 1.0
"""Pixels of the image; what is thinner at its edge was meant to be elsewhere."""


def image_reviews(
    review: Review,
    sheet: Sheet,
    boxes: Mapping[str, ReviewedRegion],
    sizes: Mapping[str, tuple[int, int] | None],
) -> list[Review]:
    """Return the review of each image on a sheet, in crop order.

    A box that was not moved keeps its exact mined coordinates. A moved box moves within its own
    image, and is undecided if nothing of it is left there; a drawn one belongs to the crop that
    contains its centre. The time is divided evenly.

    Args:
        review: of the sheet, in pixels of the sheet; `shown` names the mined boxes.
        sheet: its layout.
        boxes: region id -> mined box, in pixels of its image.
        sizes: tool id -> upright (width, height) in pixels of the image that `boxes` refer to.
    """
    by_image = _crops_by_image(sheet)
    left = {region.region_id: region for region in review.regions}
    drawn = [region for region in review.regions if region.region_id not in sheet.by_region]
    share = len(sheet.crops)
    found = []
    for tool_id, crops in by_image.items():
        shown = {
            crop.region_id: boxes.get(crop.region_id) or _on_image(crop, review, sizes)
            for crop in crops
            if crop.region_id in review.shown
        }
        regions = [
            _left(crop, left[crop.region_id], review, shown[crop.region_id], sizes)
            for crop in crops
            if crop.region_id in shown and crop.region_id in left
        ]
        for crop in crops:
            here = [region for region in drawn if crop.holds(region.xyxy)]
            on_image = (_resized(region, crop, sizes) for region in here)
            regions += (region for region in on_image if _has_area(region.xyxy))
            drawn = [region for region in drawn if region not in here]
        if not (shown or regions or review.skipped):
            continue
        found.append(
            replace(
                review,
                tool_id=tool_id,
                review_id=_part_of(review.review_id, crops),
                offer=_part_of(review.offer, crops),
                shown=shown,
                regions=tuple(regions),
                seconds=None if review.seconds is None else review.seconds * len(crops) / share,
                complete=False,
                complete_classes=frozenset(),
                partial=True,
            )
        )
    return found


def offers_of(offer: str, sheet: Sheet) -> frozenset[str]:
    """Return `Review.offer` of the images on a sheet, from that of the sheet."""
    return frozenset(_part_of(offer, crops) for crops in _crops_by_image(sheet).values())


def _crops_by_image(sheet: Sheet) -> dict[str, list[Crop]]:
    """Return a sheet's crops by tool id of their image, in crop order."""
    by_image: dict[str, list[Crop]] = {}
    for crop in sheet.crops:
        by_image.setdefault(crop.tool_id, []).append(crop)
    return by_image


def _part_of(id: str, crops: Sequence[Crop]) -> str:
    """Return the name of a sheet's review or offer for one image.

    It is derived from the image's first box, so that it doesn't change with the tool id.
    """
    return f"{id}/{crops[0].region_id}"


def _left(
    crop: Crop,
    region: ReviewedRegion,
    review: Review,
    shown: ReviewedRegion,
    sizes: Mapping[str, tuple[int, int] | None],
) -> ReviewedRegion:
    """Map a box as the reviewer left it to its image."""
    if not moved(region.xyxy, review.shown[crop.region_id].xyxy):
        return replace(region, xyxy=shown.xyxy, content=())
    on_image = _resized(region, crop, sizes)
    if not _has_area(on_image.xyxy):  # dragged over the image's edge, to another crop
        return replace(region, xyxy=shown.xyxy, unsure=True, content=())
    return on_image


def _has_area(xyxy: XYXY) -> bool:
    return min(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]) >= _THINNEST


def _on_image(
    crop: Crop, review: Review, sizes: Mapping[str, tuple[int, int] | None]
) -> ReviewedRegion:
    return _resized(review.shown[crop.region_id], crop, sizes)


def _resized(
    region: ReviewedRegion, crop: Crop, sizes: Mapping[str, tuple[int, int] | None]
) -> ReviewedRegion:
    """Map a box of the sheet to its image at the image's current size."""
    xyxy: XYXY = scaled(crop.to_image(region.xyxy), crop.size, sizes.get(crop.tool_id))
    return replace(region, xyxy=xyxy, content=())
