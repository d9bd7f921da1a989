"""The scripted reviewer on contact sheets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import XYXY
from sparsedet.reviews import ReviewedRegion
from sparsedet.sheets import Sheet
from sparsedet.simulation.reviewer import Review, Reviewer


def review_sheet(
    reviewer: Reviewer,
    sheet: Sheet,
    regions: Sequence[ReviewedRegion],
    scores: Mapping[str, float],
    *,
    people: Mapping[str, Sequence[ReviewedRegion]],
    names: Mapping[str, str],
) -> Review:
    """Judge the boxes of a sheet. Draws nothing: crops don't show what an image lacks.

    Args:
        reviewer: a reviewer with full annotations.
        sheet: the layout.
        regions: shown mined boxes, in pixels of the sheet.
        scores: region id -> score.
        people: tool id -> annotations of the image, outlined in crops.
        names: tool id -> image name in the full annotations.
    """
    by_image: dict[str, list[ReviewedRegion]] = {}
    for region in regions:
        crop = sheet.by_region[region.region_id]
        on_image = replace(region, xyxy=crop.to_image(region.xyxy))
        by_image.setdefault(crop.tool_id, []).append(on_image)
    shown = {region.region_id: region for region in regions}
    done: list[Review] = []
    left: dict[str, ReviewedRegion] = {}
    for tool_id, boxes in by_image.items():
        review = reviewer.review(
            names[tool_id],
            [*people.get(tool_id, ()), *boxes],
            {box.region_id: scores[box.region_id] for box in boxes},
            judge_only=True,
        )
        done.append(review)
        before = {box.region_id: box for box in boxes}
        for region in review.regions:
            if region.region_id not in before:
                continue
            here = shown[region.region_id].xyxy
            if region.xyxy != before[region.region_id].xyxy:
                here = _inside(sheet.by_region[region.region_id].to_sheet(region.xyxy), sheet)
            left[region.region_id] = replace(region, xyxy=here)
    behaviour = reviewer.behaviour
    edited, rejected = sum(one.edited for one in done), sum(one.rejected for one in done)
    return Review(
        regions=tuple(left[id] for id in shown if id in left),
        complete=False,
        seconds=behaviour.seconds_per_image
        + behaviour.seconds_per_box * len(regions)
        + behaviour.seconds_per_action * (edited + rejected),
        accepted=sum(one.accepted for one in done),
        edited=edited,
        rejected=rejected,
        unsure=sum(one.unsure for one in done),
        drawn=0,
    )


def _inside(xyxy: XYXY, sheet: Sheet) -> XYXY:
    """Return the part of a box inside the sheet."""
    width, height = sheet.size
    return max(xyxy[0], 0.0), max(xyxy[1], 0.0), min(xyxy[2], width), min(xyxy[3], height)
