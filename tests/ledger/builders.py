"""Two images with three mined boxes, a push of them, and reviews."""

from typing import Any

from sparsedet.annotations import XYXY, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, Push
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Review, ReviewedRegion

SPOT: XYXY = (10.0, 10.0, 50.0, 50.0)
CATEGORIES = (Category(1, "cat"), Category(2, "dog"))
MINED = [
    MinedBox("a1", 1, 1, SPOT, 0.9, 0.5),
    MinedBox("a2", 1, 2, SPOT, 0.8, 0.5),
    MinedBox("b1", 2, 1, SPOT, 0.7, 0.5),
]


def dataset(version: str | None = "v1", size: tuple[int, int] = (100, 100)) -> Dataset:
    """The images, with their annotations in a state named `version`."""
    images = (
        Image(1, "a.jpg", *size, tool_id="11", tool_version=version),
        Image(2, "b.jpg", *size, tool_id="12", tool_version=version),
    )
    return Dataset(images, (), CATEGORIES)


def new_push(version: str = "run-1", **more: Any) -> Push:
    details = {
        "tool": "label-studio",
        "url": "http://localhost:8080",
        "project": "7",
        "review_project": "8",
    }
    return Push(**(details | more), model_version=version)


def drafts(version: str = "run-1") -> Push:
    return new_push(version, review_project="7", mode="draft")


def kept(region_id: str, category: str = "cat", xyxy: XYXY = SPOT, **more: Any) -> ReviewedRegion:
    return ReviewedRegion(region_id, category, xyxy, **more)


def mined_region(region_id: str) -> ReviewedRegion:
    """A mined box as it was pushed."""
    return kept(region_id, "dog" if region_id == "a2" else "cat")


def review(
    *regions: ReviewedRegion, shown: str = "a1 a2", tool_id: str = "11", day: int = 1, **more: Any
) -> Review:
    """A review of an image, saved on a day of May, in which `regions` remain."""
    details: dict[str, Any] = {
        "review_id": f"{tool_id}-{day}",
        "offer": f"{tool_id}-{day}",
        "reviewer": "ann@example.com",
        "seconds": 4.0,
        "saved_at": f"2026-05-{day:02d}T10:00:00Z",
    }
    offered = {id: mined_region(id) for id in shown.split()}
    return Review(tool_id, shown=offered, regions=regions, **(details | more))


def read(*reviews: Review, known: str = "11 12") -> PlaceReviews:
    """What is read at a place that knows all that was ever up of the images `known`."""
    reviewed = {review.tool_id for review in reviews}
    offers = {f"{id}-{day}" for id in known.split() for day in range(1, 9)}
    offers |= {review.offer for review in reviews}
    return PlaceReviews(reviews, frozenset(known.split()) - reviewed, frozenset(offers))


def outcomes(ledger: Ledger) -> dict[str, str]:
    return {box.region_id: box.outcome for box in ledger.boxes()}


def in_source(ledger: Ledger) -> set[str]:
    return {box.region_id for box in ledger.boxes() if box.in_source}
