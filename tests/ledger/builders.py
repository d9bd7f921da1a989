"""Two images with three mined boxes, a push of them, and reviews."""

from typing import Any

from sparsedet.annotations import XYXY, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, Push
from sparsedet.tool import ReviewedImage, ReviewedRegion

SPOT: XYXY = (10.0, 10.0, 50.0, 50.0)
CATEGORIES = (Category(1, "cat"), Category(2, "dog"))
MINED = [
    MinedBox("a1", 1, 1, SPOT, 0.9, 0.5),
    MinedBox("a2", 1, 2, SPOT, 0.8, 0.5),
    MinedBox("b1", 2, 1, SPOT, 0.7, 0.5),
]


def dataset(version: str | None = "v1") -> Dataset:
    """The images, with their annotations in a state named `version`."""
    images = (
        Image(1, "a.jpg", 100, 100, tool_id="11", tool_version=version),
        Image(2, "b.jpg", 100, 100, tool_id="12", tool_version=version),
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


def kept(region_id: str, category: str = "cat", **more: Any) -> ReviewedRegion:
    return ReviewedRegion(region_id, category, SPOT, **more)


def review(
    *regions: ReviewedRegion, shown: str = "a1 a2", tool_id: str = "11", **more: Any
) -> ReviewedImage:
    details: dict[str, Any] = {"reviewer": "ann@example.com", "seconds": 4.0} | more
    return ReviewedImage(tool_id, regions, frozenset(shown.split()), **details)


def outcomes(ledger: Ledger) -> dict[str, str]:
    return {box.region_id: box.outcome for box in ledger.boxes()}
