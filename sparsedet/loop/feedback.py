"""Reviews become part of the annotations that the next round trains on."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.errors import TrainingError
from sparsedet.ledger import ImageReviews, LedgerBox
from sparsedet.loop.settings import TrainingSettings
from sparsedet.reviews import (
    AnnotationRule,
    Changes,
    Decision,
    ReviewedRegion,
    SourceState,
    changes,
)
from sparsedet.wording import counted

_MOST = 0.5
"""Training stops if more than this share of the reviewed boxes would be lost."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Annotations with reviews applied, and what could not be applied."""

    dataset: Dataset
    conflicts: int
    """Images that source and review changed differently; the source's version is used."""
    unknown: Mapping[str, int]
    """Label missing from the project -> number of reviewed boxes left out."""
    absent: int
    """Reviewed images that are no longer in the project."""
    unread: int
    """Reviewed images in the project that could not be read this time."""
    judged: int
    """Number of boxes that reviewers accepted, edited, rejected or drew."""

    def lines(self) -> list[str]:
        """Return notes for the user."""
        lines = []
        if self.conflicts:
            lines.append(
                f"{counted(self.conflicts, 'image was', 'images were')} changed both in the "
                "project and in a review; the project's version is used (see `sparsedet review "
                "--conflicts`)"
            )
        if self.unknown:
            left_out = counted(
                sum(self.unknown.values()),
                "reviewed box was left out: its label",
                "reviewed boxes were left out: their label",
            )
            lines.append(f"{left_out} is no longer in the project: {_listed(self.unknown)}")
        if self.absent:
            lines.append(
                f"{counted(self.absent, 'reviewed image is', 'reviewed images are')} no longer in "
                "the project; the outcomes stay in the ledger"
            )
        if self.unread:
            lines.append(
                f"{counted(self.unread, 'reviewed image')} could not be read this time; the "
                "reviews count again once that works"
            )
        return lines

    def check_labels(self) -> None:
        """Raise if the annotations lack most of the reviewed boxes.

        Raises:
            TrainingError: naming the labels, and the setting that renames them.
        """
        lost = sum(self.unknown.values())
        if lost > _MOST * self.judged:
            example = next(iter(self.unknown))
            raise TrainingError(
                f"the project no longer has the labels of {lost} of "
                f"{counted(self.judged, 'reviewed box')} ({_listed(self.unknown)}); map them to "
                "their new names in sparsedet.toml: "
                f'[labels] rename = {{"{example}" = "NEW NAME"}}'
            )


def with_feedback(
    pulled: Dataset,
    mined: Sequence[LedgerBox],
    reviewed: Sequence[ImageReviews],
    rule: AnnotationRule = "ground-truth-first",
    take_review: Collection[str] = (),
) -> Feedback:
    """Return the pulled annotations as merging all reviews would leave them.

    Boxes keep the origin reviewers gave them, rejected boxes become verified negatives of their
    class, an image is exhaustive if its last reviewer marked it as complete, and classes marked
    individually are complete on it.

    Args:
        pulled: the source project.
        mined: all boxes of the ledger.
        reviewed: all reviews of the ledger.
        rule: how to combine parallel reviews.
        take_review: tool ids of images on which reviews win conflicts.
    """
    by_tool_id = {image.tool_id: image for image in pulled.images if image.tool_id is not None}
    boxes = _Boxes(pulled, {box.region_id: box.outcome for box in mined})
    exhaustive: set[int] = set()
    complete: dict[int, frozenset[int]] = {}
    added: list[tuple[Image, ImageReviews, Decision]] = []
    conflicts = absent = unread = 0
    for of_image in reviewed:
        image = by_tool_id.get(of_image.tool_id)
        if image is None:
            is_unread = of_image.tool_id in pulled.unread
            unread += is_unread
            absent += not is_unread and of_image.tool_id not in pulled.left_out
            continue
        change = changes(
            boxes.state(image),
            of_image.verdict(rule),
            of_image.written,
            take_review=of_image.tool_id in take_review,
        )
        conflicts += bool(change.conflicts)
        boxes.count_unknown(change.unknown.values())
        boxes.apply(image, change)
        added += [(image, of_image, decision) for decision in change.added.values()]
        if change.marks_complete:
            exhaustive.add(image.id)
        if change.completed_classes:
            complete[image.id] = boxes.ids_of(change.completed_classes)
    for image, _, decision in sorted(added, key=_order):
        boxes.add(image, decision)
    rejected = sorted(
        (box for box in mined if box.outcome == "rejected" and box.image_tool_id in by_tool_id),
        key=lambda box: (box.category, box.xyxy),
    )
    for box in rejected:
        boxes.add_verified_negative(by_tool_id[box.image_tool_id], box)
    dataset = replace(
        pulled,
        images=tuple(
            replace(
                image,
                exhaustive=image.exhaustive or image.id in exhaustive,
                complete_classes=image.complete_classes | complete.get(image.id, frozenset()),
            )
            for image in pulled.images
        ),
        boxes=boxes.all(),
        verified_negatives=pulled.verified_negatives + tuple(boxes.verified_negatives),
    )
    judged = len(added) + len(rejected) + sum(boxes.unknown.values())
    return Feedback(dataset, conflicts, boxes.unknown, absent, unread, judged)


def _order(entry: tuple[Image, ImageReviews, Decision]) -> tuple[object, ...]:
    """Sort by position, since ids depend on the tool's image names.

    Training draws boxes in this order.
    """
    image, of_image, decision = entry
    mined = of_image.mined.get(decision.region.region_id)
    if mined is not None:
        return 0, mined.category, mined.xyxy, image.id
    return 1, image.id, decision.region.category, decision.region.xyxy


class _Boxes:
    """The source's boxes with reviewers' changes applied."""

    def __init__(self, pulled: Dataset, outcomes: Mapping[str, str]) -> None:
        self._names = {category.id: category.name for category in pulled.categories}
        self._ids = {name: number for number, name in self._names.items()}
        self._left_out = pulled.left_out_labels
        self._outcomes = outcomes
        self._boxes: dict[int, list[Box]] = {
            image_id: [self._with_origin(box) for box in boxes]
            for image_id, boxes in pulled.boxes_by_image.items()
        }
        self._order = {box.id: index for index, box in enumerate(pulled.boxes)}
        self._next_id = max(self._order, default=0) + 1
        self._next_negative_id = max((box.id for box in pulled.verified_negatives), default=0) + 1
        self.unknown: Counter[str] = Counter()
        self.verified_negatives: list[Box] = []

    def count_unknown(self, names: Iterable[str]) -> None:
        """Count boxes with labels missing from the project, unless left out on purpose."""
        self.unknown.update(name for name in names if name not in self._left_out)

    def all(self) -> tuple[Box, ...]:
        """Return all boxes: the source's in order, then the added ones."""
        everything = [box for boxes in self._boxes.values() for box in boxes]
        last = len(self._order)
        return tuple(sorted(everything, key=lambda box: (self._order.get(box.id, last), box.id)))

    def state(self, image: Image) -> SourceState:
        """Return the source's state of an image."""
        return SourceState(
            tool_id=image.tool_id or "",
            boxes={
                _key(box): ReviewedRegion(_key(box), self._names[box.category_id], box.xyxy)
                for box in self._boxes[image.id]
            },
            complete=image.exhaustive,
            version=image.tool_version,
            labels=frozenset(self._ids),
            complete_classes=frozenset(self._names[id] for id in image.complete_classes),
        )

    def ids_of(self, names: Iterable[str]) -> frozenset[int]:
        """Return the ids of categories of the source."""
        return frozenset(self._ids[name] for name in names)

    def apply(self, image: Image, change: Changes) -> None:
        """Move, rename and remove the source's boxes."""
        self._boxes[image.id] = [
            self._edited(box, change.edited.get(_key(box)))
            for box in self._boxes[image.id]
            if _key(box) not in change.removed
        ]

    def add(self, image: Image, decision: Decision) -> None:
        """Add a box with the next free id."""
        region = decision.region
        if (category_id := self._category_id(region.category)) is not None:
            self._boxes[image.id].append(
                Box(
                    id=self._next_id,
                    image_id=image.id,
                    category_id=category_id,
                    xyxy=region.xyxy,
                    origin=decision.origin,
                    tool_id=region.region_id,
                )
            )
            self._next_id += 1

    def add_verified_negative(self, image: Image, box: LedgerBox) -> None:
        """Add a verified negative."""
        if (category_id := self._category_id(box.category)) is not None:
            number = self._next_negative_id
            self.verified_negatives.append(
                Box(number, image.id, category_id, box.xyxy, tool_id=box.region_id)
            )
            self._next_negative_id += 1

    def _with_origin(self, box: Box) -> Box:
        """Return a source box, with the more precise origin known to the ledger."""
        outcome = self._outcomes.get(box.tool_id or "")
        known = ("accepted", "edited", "sampled")
        return replace(box, origin=outcome) if outcome in known else box

    def _edited(self, box: Box, region: ReviewedRegion | None) -> Box:
        if region is None:
            return box
        category_id = self._category_id(region.category)
        if category_id is None:
            return box
        # The area may be that of a mask.
        return replace(box, xyxy=region.xyxy, category_id=category_id, area=None)

    def _category_id(self, name: str) -> int | None:
        if name not in self._ids:
            self.count_unknown([name])
        return self._ids.get(name)


def _key(box: Box) -> str:
    return box.tool_id or f"#{box.id}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


_EVERYWHERE = ("SPARSEDET.STAGED.MIN_MISSING", "0.0")


def round_keys(training: TrainingSettings, round: int) -> list[str]:
    """Return the `KEY VALUE` words of a round's training; those from the settings come last.

    While few labels are missing, `staged` doesn't train on its mined boxes, as annotators may
    have skipped these objects on purpose. From round 2 on, reviews reveal that: skipped objects
    are rejected, or lie on a complete image.

    Args:
        training: the training section of `sparsedet.toml`.
        round: the round's number.
    """
    return [*(_EVERYWHERE if round > 1 else ()), *training.overrides()]
