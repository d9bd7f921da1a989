"""Suspicious annotations: which of them a round marks, and reviewers' decisions on the marks.

`push.json` records the marks; their outcomes are computed from the ledger's reviews on demand.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sparsedet.annotations import Dataset
from sparsedet.annotations.suspicions import Suspicion, read_suspicions
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.round_files import read_push
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.workspace import Workspace
from sparsedet.reading import ODD_VALUES
from sparsedet.reviews import AnnotationRule, Review, decide
from sparsedet.wording import counted

Answer = Literal["corrected", "kept", "waiting"]
"""The decision on a marked box: it or its duplicate was changed or deleted; it was kept; or nobody
decided, including the note `unsure`."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A suspicious annotation that was shown to reviewers."""

    image_tool_id: str
    box_id: str
    kind: str
    twin: str | None = None
    """The other box, if an object was drawn twice."""


@dataclass(frozen=True, slots=True)
class SuspicionCounts:
    """Outcomes of the marked annotations."""

    corrected: int = 0
    kept: int = 0
    waiting: int = 0

    @property
    def marked(self) -> int:
        """Total number of marks."""
        return self.corrected + self.kept + self.waiting

    def in_words(self) -> str:
        """Return one line for display; empty if none was marked."""
        if not self.marked:
            return ""
        marked = counted(self.marked, "annotation that looks", "annotations that look")
        return (
            f"{marked} wrong: {self.corrected} corrected by reviewers, {self.kept} kept, "
            f"{self.waiting} waiting"
        )


def to_mark(
    folder: RoundFolder,
    dataset: Dataset,
    queue: Sequence[QueueEntry],
    answered: Collection[tuple[str, str]],
    most: int,
) -> tuple[Suspicion, ...]:
    """Return the annotations that a round marks: the most certain ones on its queue's images.

    Args:
        folder: the round's folder; rounds of older versions have no suspicions.
        dataset: the round's annotations.
        queue: the images that people open.
        answered: (image tool id, box) already decided by reviewers; not asked again.
        most: maximum number of marks.
    """
    if not folder.suspicions.exists():
        return ()
    opened = {entry.image_id: dataset.image_by_id[entry.image_id].tool_id for entry in queue}
    found = [
        one
        for one in read_suspicions(folder.suspicions)
        if one.image_id in opened and (opened[one.image_id], one.box_id) not in answered
    ]
    return tuple(found[:most])


def marks_record(
    suspicions: Iterable[Suspicion], dataset: Dataset, skipped: Collection[str]
) -> list[dict[str, Any]]:
    """Return marks as stored in `push.json`, without those of images that were not pushed."""
    return [
        {
            "image_tool_id": tool_id,
            "box_id": one.box_id,
            "kind": one.kind,
            "certainty": round(one.certainty, 4),
            "twin": one.twin,
        }
        for one in suspicions
        if (tool_id := dataset.image_by_id[one.image_id].tool_id) not in skipped
    ]


def answers(
    workspace: Workspace, ledger: Ledger, rule: AnnotationRule
) -> Mapping[tuple[str, str], Answer]:
    """Return the outcome of every marked annotation, by image tool id and box.

    Args:
        workspace: the workspace with its rounds.
        ledger: the ledger with the reviews.
        rule: how to combine parallel reviews.

    Raises:
        SparseDetError: when a `push.json` is invalid.
    """
    reviews: dict[str, tuple[Review, ...]] = {}
    for source in ledger.sources():
        for image in ledger.image_reviews(source):
            reviews[image.tool_id] = (*reviews.get(image.tool_id, ()), *image.reviews)
    found: dict[tuple[str, str], Answer] = {}
    for folder in workspace.all_rounds():
        if not folder.push.exists():
            continue
        record = read_push(folder)
        before = set(record.get("reviews", ()))
        for mark in _marks(record, folder):
            since = [
                review
                for review in reviews.get(mark.image_tool_id, ())
                if review.review_id not in before and mark.box_id in review.shown
            ]
            found[mark.image_tool_id, mark.box_id] = _answer(mark, since, rule)
    return found


def count_suspicions(
    workspace: Workspace, ledger: Ledger, rule: AnnotationRule = "ground-truth-first"
) -> SuspicionCounts:
    """Count the outcomes of marked annotations over all rounds; see `answers`."""
    found = list(answers(workspace, ledger, rule).values())
    return SuspicionCounts(
        corrected=found.count("corrected"),
        kept=found.count("kept"),
        waiting=found.count("waiting"),
    )


def _answer(mark: Marked, reviews: Sequence[Review], rule: AnnotationRule) -> Answer:
    decisions = decide(reviews, {}, rule).decisions
    if mark.box_id in decisions or mark.twin in decisions:
        return "corrected"
    left = [region for review in reviews for region in review.regions]
    if any(region.region_id == mark.box_id and not region.unsure for region in left):
        return "kept"
    return "waiting"


def _marks(record: Mapping[str, Any], folder: RoundFolder) -> Iterator[Marked]:
    try:
        for entry in record.get("suspicions", ()):  # older rounds lack them
            yield Marked(
                image_tool_id=str(entry["image_tool_id"]),
                box_id=str(entry["box_id"]),
                kind=str(entry["kind"]),
                twin=None if entry["twin"] is None else str(entry["twin"]),
            )
    except ODD_VALUES as error:
        raise SparseDetError(f"{folder.push}: invalid suspicions ({error!r})") from error
