"""From the review of a sheet to reviews of the images that its crops show."""

from collections.abc import Mapping
from dataclasses import replace

from sparsedet.annotations import XYXY
from sparsedet.reviews import Review, ReviewedRegion, moved, scaled
from sparsedet.sheets.layout import Crop, Sheet


def image_reviews(
    review: Review,
    sheet: Sheet,
    boxes: Mapping[str, ReviewedRegion],
    sizes: Mapping[str, tuple[int, int] | None],
) -> list[Review]:
    """Return what the review of a sheet says of each image, in the order of the crops.

    A box that nobody moved is where it was mined, to the last decimal. A moved one is moved within
    its own image; one that the reviewer drew belongs to the crop that its middle lies on. The time
    is shared out evenly.

    Args:
        review: of the sheet, in pixels of the sheet; `shown` names the mined boxes.
        sheet: its layout.
        boxes: region id -> mined box, in pixels of its image.
        sizes: tool id -> upright (width, height) of the image in pixels that `boxes` are in.
    """
    by_image: dict[str, list[Crop]] = {}
    for crop in sheet.crops:
        by_image.setdefault(crop.tool_id, []).append(crop)
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
            regions += [_resized(region, crop, sizes) for region in here]
            drawn = [region for region in drawn if region not in here]
        if not (shown or regions or review.skipped):
            continue
        found.append(
            replace(
                review,
                tool_id=tool_id,
                review_id=f"{review.review_id}/{tool_id}",
                offer=offer_of(review.offer, tool_id),
                shown=shown,
                regions=tuple(regions),
                seconds=None if review.seconds is None else review.seconds * len(crops) / share,
                complete=False,
                partial=True,
            )
        )
    return found


def offer_of(offer: str, tool_id: str) -> str:
    """Return `Review.offer` of an image on a sheet, given that of the sheet."""
    return f"{offer}/{tool_id}"


def _left(
    crop: Crop,
    region: ReviewedRegion,
    review: Review,
    shown: ReviewedRegion,
    sizes: Mapping[str, tuple[int, int] | None],
) -> ReviewedRegion:
    """Return a box as the reviewer left it, on its image."""
    if not moved(region.xyxy, review.shown[crop.region_id].xyxy):
        return replace(region, xyxy=shown.xyxy, content=())
    return _resized(region, crop, sizes)


def _on_image(
    crop: Crop, review: Review, sizes: Mapping[str, tuple[int, int] | None]
) -> ReviewedRegion:
    return _resized(review.shown[crop.region_id], crop, sizes)


def _resized(
    region: ReviewedRegion, crop: Crop, sizes: Mapping[str, tuple[int, int] | None]
) -> ReviewedRegion:
    """Return a box of the sheet on its image, of the size that the image has now."""
    xyxy: XYXY = scaled(crop.to_image(region.xyxy), crop.size, sizes.get(crop.tool_id))
    return replace(region, xyxy=xyxy, content=())
