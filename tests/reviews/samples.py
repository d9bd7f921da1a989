"""Short forms of reviews and boxes, for tests."""

from collections.abc import Mapping
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.reviews import Review, ReviewedRegion, SourceState

HUMAN: XYXY = (10, 10, 30, 30)
MOVED: XYXY = (15, 10, 35, 30)
MINED: XYXY = (50, 50, 80, 80)
ELSEWHERE: XYXY = (60, 10, 90, 30)


def box(id: str, xyxy: XYXY = HUMAN, category: str = "cat", **fields: Any) -> ReviewedRegion:
    """A box."""
    return ReviewedRegion(id, category, xyxy, **fields)


OWN = box("own")
M1 = box("m1", MINED)


def by_id(*boxes: ReviewedRegion) -> Mapping[str, ReviewedRegion]:
    """Boxes by their ids."""
    return {one.region_id: one for one in boxes}


def review(
    number: int,
    *regions: ReviewedRegion,
    shown: tuple[ReviewedRegion, ...] = (OWN, M1),
    **fields: Any,
) -> Review:
    """The review `number`, made on that day of January."""
    values = {"review_id": f"r{number}", "saved_at": f"2026-01-{number:02d}T12:00:00Z"} | fields
    return Review("11", shown=by_id(*shown), regions=regions, **values)


def source(*boxes: ReviewedRegion, **fields: Any) -> SourceState:
    """The image 11 in the annotated project."""
    return SourceState("11", by_id(*boxes), **fields)
