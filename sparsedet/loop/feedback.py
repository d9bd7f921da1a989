"""What reviewers said becomes part of the annotations that the next round learns from."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.ledger import LedgerBox
from sparsedet.loop.reviews import PlaceReviews, Verdict, fold
from sparsedet.loop.settings import TrainingSettings
from sparsedet.tool import MOVED_PIXELS, PushedImage, ReviewedImage, ReviewedRegion
from sparsedet.training.data.samples import REVIEWED_ORIGINS

logger = logging.getLogger(__name__)


def with_feedback(
    pulled: Dataset, mined: Sequence[LedgerBox], collected: Iterable[PlaceReviews]
) -> Dataset:
    """Return the pulled annotations with what reviewers made of them and of mined boxes.

    - Accepted and edited boxes are annotations, `origin` says which; boxes that a reviewer drew
      are annotations too.
    - Boxes of the source that a reviewer moved, renamed or deleted are so here, too, as a merge
      would make them.
    - Rejected boxes are verified negatives for their class.
    - An image that its last reviewer marked as complete is exhaustive.

    Where somebody changed the source since, the source comes first: only accepted, edited and drawn
    boxes are added then, and the image is exhaustive only if the source says so. What the source
    held after a merge, or a saved draft, and no longer holds does not come back.

    Args:
        pulled: the source project.
        mined: all boxes of the ledger.
        collected: all reviews.
    """
    by_tool_id = {image.tool_id: image for image in pulled.images if image.tool_id is not None}
    outcomes = {box.region_id: box.outcome for box in mined}
    annotations, exhaustive = _Annotations(pulled, outcomes), set[str]()
    drawn: list[tuple[int, ReviewedRegion]] = []
    for image_id, pushed, verdict in _verdicts(by_tool_id, collected):
        unchanged = by_tool_id[pushed.tool_id].tool_version == pushed.version
        if unchanged:
            annotations.apply(image_id, verdict)
        if unchanged and verdict.complete:
            exhaustive.add(pushed.tool_id)
        if unchanged or not pushed.merged:
            drawn += [(image_id, verdict.kept[region]) for region in verdict.drawn]
    # By place and not by id, which depends on what the tool calls the images: the order of boxes
    # decides what training draws.
    drawn.sort(key=lambda entry: (entry[0], entry[1].category, entry[1].xyxy))
    for box in sorted(mined, key=lambda box: (box.category, box.xyxy)):
        image = by_tool_id.get(box.image_tool_id)
        if image is None:
            continue
        if box.outcome == "rejected":
            annotations.add_verified_negative(image.id, box)
        elif box.outcome in ("accepted", "edited") and not box.in_source:
            annotations.add(
                image.id, box.final_category, box.final_xyxy, box.outcome, box.region_id
            )
    for image_id, region in drawn:
        if region.region_id not in outcomes:
            annotations.add(image_id, region.category, region.xyxy, "human", region.region_id)
    annotations.warn()
    return replace(
        pulled,
        images=tuple(
            replace(image, exhaustive=image.exhaustive or image.tool_id in exhaustive)
            for image in pulled.images
        ),
        boxes=annotations.boxes(),
        verified_negatives=pulled.verified_negatives + tuple(annotations.verified_negatives),
    )


def _verdicts(
    images: Mapping[str, Image], collected: Iterable[PlaceReviews]
) -> Iterable[tuple[int, PushedImage, Verdict]]:
    """Yield image id, what was pushed and the verdict of every reviewed image that is still there.

    A saved draft is the source itself, and needs no verdict.
    """
    for reviews in collected:
        by_image: dict[str, list[ReviewedImage]] = {}
        for review in reviews.reviewed:
            by_image.setdefault(review.tool_id, []).append(review)
        for pushed in reviews.pushed if reviews.place.mode == "review-project" else ():
            image = images.get(pushed.tool_id)
            if image is not None and pushed.tool_id in by_image:
                yield image.id, pushed, fold(by_image[pushed.tool_id])


class _Annotations:
    """The source's boxes, with what reviewers did to them and added to them."""

    def __init__(self, pulled: Dataset, outcomes: Mapping[str, str]) -> None:
        self._names = {category.id: category.name for category in pulled.categories}
        self._ids = {name: number for number, name in self._names.items()}
        self._outcomes = outcomes
        self._boxes: dict[int, list[Box]] = {
            image_id: [self._with_origin(box) for box in boxes]
            for image_id, boxes in pulled.boxes_by_image.items()
        }
        self._order = {box.id: index for index, box in enumerate(pulled.boxes)}
        self._next_id = max(self._order, default=0) + 1
        self._next_negative_id = max((box.id for box in pulled.verified_negatives), default=0) + 1
        self._unknown: dict[str, int] = {}
        self.verified_negatives: list[Box] = []

    def boxes(self) -> tuple[Box, ...]:
        """Return all boxes: the source's in their order, then the added ones."""
        everything = [box for boxes in self._boxes.values() for box in boxes]
        last = len(self._order)
        return tuple(sorted(everything, key=lambda box: (self._order.get(box.id, last), box.id)))

    def apply(self, image_id: int, verdict: Verdict) -> None:
        """Move, rename and delete the source's boxes as the verdict says."""
        self._boxes[image_id] = [
            self._as_reviewed(box, verdict.kept.get(box.tool_id or ""))
            for box in self._boxes[image_id]
            if box.tool_id not in verdict.gone
        ]

    def add(
        self, image_id: int, category: str | None, xyxy: XYXY | None, origin: str, region_id: str
    ) -> None:
        """Add a box, unless the image has one of this id, or of its class and place."""
        category_id = self._category_id(category)
        if category_id is None or xyxy is None:
            return
        known = self._boxes[image_id]
        same_class = [box.xyxy for box in known if box.category_id == category_id]
        if any(box.tool_id == region_id for box in known) or bool(
            (iou_matrix([xyxy], same_class) >= SAME_OBJECT_IOU).any()
        ):
            return
        known.append(
            Box(self._next_id, image_id, category_id, xyxy, origin=origin, tool_id=region_id)
        )
        self._next_id += 1

    def add_verified_negative(self, image_id: int, box: LedgerBox) -> None:
        """Add a verified negative."""
        category_id = self._category_id(box.category)
        if category_id is not None:
            number = self._next_negative_id
            self.verified_negatives.append(
                Box(number, image_id, category_id, box.xyxy, tool_id=box.region_id)
            )
            self._next_negative_id += 1

    def warn(self) -> None:
        """Log how many boxes were left out because their label is gone."""
        if self._unknown:
            logger.warning(
                "%d reviewed boxes are left out, their label is no longer in the project: %s",
                sum(self._unknown.values()),
                ", ".join(sorted(self._unknown)),
            )

    def _with_origin(self, box: Box) -> Box:
        """Return a box of the source with the origin that the ledger knows better."""
        outcome = self._outcomes.get(box.tool_id or "")
        return replace(box, origin=outcome) if outcome in ("accepted", "edited") else box

    def _as_reviewed(self, box: Box, region: ReviewedRegion | None) -> Box:
        if region is None or region.category not in self._ids:
            return box
        moved = max(abs(a - b) for a, b in zip(box.xyxy, region.xyxy, strict=True))
        if moved <= MOVED_PIXELS and region.category == self._names[box.category_id]:
            return box
        # The area may have been that of a mask.
        return replace(box, xyxy=region.xyxy, category_id=self._ids[region.category], area=None)

    def _category_id(self, name: str | None) -> int | None:
        if name is not None and name not in self._ids:
            self._unknown[name] = self._unknown.get(name, 0) + 1
        return self._ids.get(name or "")


_EVERYWHERE = ("SPARSEDET.STAGED.MIN_MISSING", "0.0")


def round_keys(training: TrainingSettings, dataset: Dataset) -> list[str]:
    """Return the `KEY VALUE` words of a round's training; those of the settings come last.

    Where few labels are missing, `staged` does not train on what it mines, as annotators may have
    skipped these objects on purpose. Reviewers who found more mined boxes right than wrong say that
    they have not.

    Args:
        training: from `sparsedet.toml`.
        dataset: the annotations that the round begins with, reviews included.
    """
    right = sum(box.origin in REVIEWED_ORIGINS for box in dataset.boxes)
    confirmed = right > len(dataset.verified_negatives)
    return [*(_EVERYWHERE if confirmed else ()), *training.overrides()]
