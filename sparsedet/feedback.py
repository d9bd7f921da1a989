"""What reviewers said becomes part of the annotations that the next round learns from."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import XYXY, Box, Dataset
from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.mining.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.tool import AnnotationTool, ReviewedImage

logger = logging.getLogger(__name__)


def collect_reviews(
    ledger: Ledger, connect: Callable[[Place], AnnotationTool]
) -> list[ReviewedImage]:
    """Read every review of whatever was pushed, and settle the ledger; return the reviews."""
    reviews: list[ReviewedImage] = []
    for place in ledger.places():
        reviewed = connect(place).reviewed(
            place.review_project, mode=place.mode, pushed=ledger.pushed_images(place)
        )
        ledger.record_reviews(place, reviewed)
        reviews += reviewed
    return reviews


def with_feedback(
    pulled: Dataset, mined: Sequence[LedgerBox], reviews: Iterable[ReviewedImage]
) -> Dataset:
    """Return the pulled annotations with what reviewers made of mined boxes.

    - Accepted and edited boxes are annotations, `origin` says which; boxes that a reviewer drew
      are annotations too. What the source holds already (after a merge, or a saved draft) is not
      taken twice, and what was deleted there later does not come back.
    - Rejected boxes are verified background for their class.
    - An image that a reviewer vouched for is exhaustive.

    Args:
        pulled: the source project.
        mined: all boxes of the ledger.
        reviews: all submitted reviews.
    """
    by_tool_id = {image.tool_id: image for image in pulled.images if image.tool_id is not None}
    reviews = [review for review in reviews if review.tool_id in by_tool_id]
    complete = {review.tool_id for review in reviews if review.complete}
    outcomes = {box.region_id: box.outcome for box in mined}
    builder = _Builder(pulled)
    for box in mined:
        image = by_tool_id.get(box.image_tool_id)
        if image is None:
            continue
        if box.outcome == "rejected":
            builder.add_background(image.id, box.category, box.xyxy, box.region_id)
        elif box.outcome in ("accepted", "edited") and not box.in_source:
            builder.add(image.id, box.final_category, box.final_xyxy, box.outcome, box.region_id)
    for review in reviews:
        for region in review.regions:
            drawn = region.region_id not in review.shown and region.region_id not in outcomes
            if drawn and not region.unsure:
                image_id = by_tool_id[review.tool_id].id
                builder.add(image_id, region.category, region.xyxy, "human", region.region_id)
    if builder.unknown:
        logger.warning(
            "%d reviewed boxes are left out, their label is no longer in the project: %s",
            sum(builder.unknown.values()),
            ", ".join(sorted(builder.unknown)),
        )
    return replace(
        pulled,
        images=tuple(
            replace(image, exhaustive=image.exhaustive or image.tool_id in complete)
            for image in pulled.images
        ),
        boxes=tuple(_with_origin(box, outcomes) for box in pulled.boxes) + tuple(builder.boxes),
        background=pulled.background + tuple(builder.background),
    )


class _Builder:
    """Collects the boxes that the source lacks."""

    def __init__(self, pulled: Dataset) -> None:
        self._categories = {category.name: category.id for category in pulled.categories}
        self._known: dict[int, list[Box]] = {
            image_id: list(boxes) for image_id, boxes in pulled.boxes_by_image.items()
        }
        self._next_id = max((box.id for box in pulled.boxes), default=0) + 1
        self._next_background_id = max((box.id for box in pulled.background), default=0) + 1
        self.boxes: list[Box] = []
        self.background: list[Box] = []
        self.unknown: dict[str, int] = {}
        """Labels that the project no longer has -> boxes left out for it."""

    def add(
        self, image_id: int, category: str | None, xyxy: XYXY | None, origin: str, region_id: str
    ) -> None:
        """Add an annotation, unless the source has one of this id, or of its class and place."""
        category_id = self._category_id(category)
        if category_id is None or xyxy is None:
            return
        known = self._known[image_id]
        if any(box.tool_id == region_id for box in known):
            return
        same_class = [box.xyxy for box in known if box.category_id == category_id]
        if (iou_matrix([xyxy], same_class) >= SAME_OBJECT_IOU).any():
            return
        box = Box(self._next_id, image_id, category_id, xyxy, origin=origin, tool_id=region_id)
        self._next_id += 1
        known.append(box)
        self.boxes.append(box)

    def add_background(self, image_id: int, category: str, xyxy: XYXY, region_id: str) -> None:
        """Add verified background."""
        category_id = self._category_id(category)
        if category_id is not None:
            number = self._next_background_id
            self.background.append(Box(number, image_id, category_id, xyxy, tool_id=region_id))
            self._next_background_id += 1

    def _category_id(self, name: str | None) -> int | None:
        if name is not None and name not in self._categories:
            self.unknown[name] = self.unknown.get(name, 0) + 1
        return self._categories.get(name or "")


def _with_origin(box: Box, outcomes: Mapping[str, str]) -> Box:
    """Return a box of the source with the origin that the ledger knows better."""
    outcome = outcomes.get(box.tool_id or "")
    return replace(box, origin=outcome) if outcome in ("accepted", "edited") else box
