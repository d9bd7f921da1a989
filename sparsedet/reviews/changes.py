"""From a verdict to changes of the annotations: what a merge writes, and what training sees."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sparsedet.reviews.model import ReviewedRegion, SourceState, holder_of, same_box
from sparsedet.reviews.verdicts import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Written:
    """How a merge, or a resolved conflict, left an image: what reviews said then is history."""

    boxes: Mapping[str, ReviewedRegion | None] = field(default_factory=dict)
    """Region id -> the box as it was left; None: removed."""
    complete: bool = False
    """The image was marked as complete."""
    holder: str = ""
    """The annotation that was written, as `SourceState.holder` names it; empty: any."""
    complete_classes: frozenset[str] = frozenset()
    """Categories that were marked as complete by themselves."""


NOTHING_WRITTEN = Written()


@dataclass(frozen=True, slots=True)
class Changes:
    """What brings the annotations of an image to a verdict."""

    added: Mapping[str, Decision] = field(default_factory=dict)
    """By region id."""
    edited: Mapping[str, ReviewedRegion] = field(default_factory=dict)
    """Id of the source's box -> the box as it should be."""
    removed: frozenset[str] = frozenset()
    """Ids of the source's boxes."""
    marks_complete: bool = False
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Region id -> category that the project lacks: what was decided of the box is left out."""
    conflicts: Mapping[str, str] = field(default_factory=dict)
    """Region id -> what the source did to a box that a reviewer changed in another way. Where there
    is one, the image is left alone: training sees the source as it is, a merge writes nothing."""
    completed_classes: frozenset[str] = frozenset()
    """Categories to mark as complete by themselves."""

    def __bool__(self) -> bool:
        boxes = self.added or self.edited or self.removed
        return bool(boxes or self.marks_complete or self.completed_classes)


def changes(
    source: SourceState,
    verdict: Verdict,
    written: Written = NOTHING_WRITTEN,
    *,
    take_review: bool = False,
) -> Changes:
    """Return what brings the annotations of an image to a verdict.

    A three-way comparison, box by box: what the reviewers were shown, what they left, and what the
    source holds now. Changes that only one side made stand; a box that both sides changed
    differently is a conflict. What has been written once is history: if the source differs from it
    now, somebody changed the source since.

    Args:
        source: what the annotated project holds.
        verdict: of all reviews of the image.
        written: how the last merge left it.
        take_review: let the review win where there would be a conflict.
    """
    written = _written_to(source, written)
    located = _located(source, verdict, written)
    added: dict[str, Decision] = {}
    edited: dict[str, ReviewedRegion] = {}
    removed: set[str] = set()
    conflicts: dict[str, str] = {}
    unknown: dict[str, str] = {}
    # Of two boxes on one object the one stands that a person saw.
    decisions = sorted(verdict.decisions.items(), key=lambda one: one[1].origin == "sampled")
    for id, decision in decisions:
        if id in written.boxes and _agrees(written.boxes[id], decision):
            continue
        category = decision.region.category
        if decision.fate == "kept" and source.labels is not None and category not in source.labels:
            unknown[id] = category
            continue
        now, states = located.get(id), _states(id, decision.bases, written)
        conflict = ""
        if decision.fate == "kept" and now is None:
            if _was_there(id, verdict, written):
                conflict = "deleted there, changed in the review"
            added[id] = decision
        elif decision.fate == "kept" and now is not None and not same_box(now, decision.region):
            if not any(same_box(now, state) for state in states):
                conflict = "changed there and in the review"
            edited[now.region_id] = decision.region
        elif now is not None and _is_unwanted(id, decision, written):
            if not any(same_box(now, state) for state in states):
                conflict = "changed there, deleted in the review"
            removed.add(now.region_id)
        if conflict and not take_review:
            conflicts[id] = conflict
    if conflicts:
        return Changes(conflicts=conflicts, unknown=unknown)
    for id in _standing_in(located, verdict, removed):
        removed.discard(id)
    ids = {box.region_id: id for id, box in located.items()}
    standing = {
        # As reviewers know it; what none of them knows has an id that is nobody's.
        ids.get(box.region_id, f"source-{box.region_id}"): edited.get(box.region_id, box)
        for box in source.boxes.values()
        if box.region_id not in removed
    }
    return Changes(
        added=_without_doubles(added, standing),
        edited=edited,
        removed=frozenset(removed),
        marks_complete=verdict.complete and not source.complete and not written.complete,
        unknown=unknown,
        completed_classes=_completed_classes(source, verdict, written),
    )


def after(source: SourceState, change: Changes) -> dict[str, ReviewedRegion]:
    """Return the boxes of an image once the changes are made, by region id."""
    boxes = {id: box for id, box in source.boxes.items() if id not in change.removed}
    boxes |= {id: replace(box, region_id=id) for id, box in change.edited.items()}
    return boxes | {id: decision.region for id, decision in change.added.items()}


def as_written(
    source: SourceState,
    change: Changes,
    verdict: Verdict,
    written: Written = NOTHING_WRITTEN,
    version: str | None = None,
) -> Written:
    """Return what to remember of an image when `change` was made to it (or was found made).

    Of boxes that reviewers judged that is their word, not what the source holds: where the two
    differ, somebody has changed the source after an earlier merge, and that stands.

    Args:
        source: as it was before the change.
        change: what was made of it.
        verdict: what the change was made from.
        written: how the merge before left it.
        version: `Image.tool_version` after the change; None: nothing was written.
    """
    written = _written_to(source, written)
    removed = {id: None for id, box in written.boxes.items() if box is None}
    decided = {
        id: decision.region if decision.fate == "kept" else None
        for id, decision in verdict.decisions.items()
        if id not in change.unknown
    }
    return Written(
        boxes={**removed, **after(source, change), **decided},
        complete=written.complete or source.complete or change.marks_complete,
        holder=holder_of(version or source.version),
        complete_classes=(
            written.complete_classes | source.complete_classes | change.completed_classes
        ),
    )


def kept_by_source(conflicts: Collection[str], verdict: Verdict, written: Written) -> Written:
    """Return what to remember when the source wins a conflict: the review's word is history."""
    decided = {
        id: d.region if (d := verdict.decisions[id]).fate == "kept" else None for id in conflicts
    }
    return replace(written, boxes={**written.boxes, **decided})


def _written_to(source: SourceState, written: Written) -> Written:
    """Return what was written, unless another annotation counts now: it never held that."""
    is_other = written.holder and source.holder and written.holder != source.holder
    return NOTHING_WRITTEN if is_other else written


def _completed_classes(source: SourceState, verdict: Verdict, written: Written) -> frozenset[str]:
    """Return the classes to mark; none where the mark of the whole image says it all."""
    if source.complete or written.complete or verdict.complete:
        return frozenset()
    known = verdict.complete_classes if source.labels is None else source.labels
    return verdict.complete_classes & known - source.complete_classes - written.complete_classes


def _located(source: SourceState, verdict: Verdict, written: Written) -> dict[str, ReviewedRegion]:
    """Return the source's boxes by the ids that reviews know them by.

    Another tool may have renumbered them: then those that the source held, or is to hold, are found
    by category and place; of equal ones those that are to stay come first.
    """
    ids = dict.fromkeys([*verdict.seen, *verdict.decisions, *written.boxes])
    found = {id: source.boxes[id] for id in ids if id in source.boxes}
    strangers = [box for id, box in source.boxes.items() if id not in ids]
    for id in sorted(ids, key=lambda id: _is_deleted(id, verdict)):
        decided = verdict.decisions.get(id)
        is_kept = decided is not None and decided.fate == "kept"
        if id in found or not (is_kept or _was_there(id, verdict, written)):
            continue
        states = _states(id, verdict.seen.get(id, ()), written)
        if decided is not None and is_kept:
            states.insert(0, decided.region)
        match = next((b for s in states for b in strangers if same_box(b, s)), None)
        if match is not None:
            strangers.remove(match)
            found[id] = match
    return found


def _standing_in(
    located: Mapping[str, ReviewedRegion], verdict: Verdict, removed: Collection[str]
) -> list[str]:
    """Return ids of the source's boxes that stand in for an equal one that is to stay.

    Of two equal boxes the reviewer deleted one and somebody the other in the source: they meant
    the same, and which of the two is left makes no difference.
    """
    missing = [
        state
        for id, states in verdict.seen.items()
        if id not in located and not _is_deleted(id, verdict) and id not in verdict.mined
        for state in states[-1:]
    ]
    spared = []
    for box in located.values():
        twin = next((state for state in missing if same_box(box, state)), None)
        if box.region_id in removed and twin is not None:
            missing.remove(twin)
            spared.append(box.region_id)
    return spared


def _states(id: str, seen: Iterable[ReviewedRegion], written: Written) -> list[ReviewedRegion]:
    """Return every state of a box that reviewers or merges knew."""
    box = written.boxes.get(id)
    return [*([box] if box else []), *seen]


def _agrees(written: ReviewedRegion | None, decision: Decision) -> bool:
    """Whether a decision is what was written already."""
    if decision.fate != "kept" or written is None:
        return decision.fate != "kept" and written is None
    return same_box(written, decision.region)


def _was_there(id: str, verdict: Verdict, written: Written) -> bool:
    """Whether the source held the box when it was pushed, or after the last merge."""
    if id in written.boxes:
        return written.boxes[id] is not None
    return id in verdict.seen and id not in verdict.drawn and id not in verdict.mined


def _is_deleted(id: str, verdict: Verdict) -> bool:
    return id in verdict.decisions and verdict.decisions[id].fate == "deleted"


def _is_unwanted(id: str, decision: Decision, written: Written) -> bool:
    """Whether the source should lose a box: deleted, or left undecided after it was merged."""
    return decision.fate == "deleted" or (decision.fate == "undecided" and id in written.boxes)


def _without_doubles(
    added: Mapping[str, Decision], standing: Mapping[str, ReviewedRegion]
) -> dict[str, Decision]:
    """Leave out a box that shows an object which has a box by somebody else already.

    Boxes that one reviewer saw or left side by side are different objects, however much they
    overlap.

    Args:
        added: by region id.
        standing: the source's boxes, by the ids that reviews know them by.
    """
    doubles = _matched(added, standing)
    kept: dict[str, Decision] = {}
    for id, decision in added.items():
        if id not in doubles and not _matched(
            {id: decision}, {other: found.region for other, found in kept.items()}
        ):
            kept[id] = decision
    return kept


def _matched(added: Mapping[str, Decision], others: Mapping[str, ReviewedRegion]) -> frozenset[str]:
    """Return the ids of added boxes that show an object of the others, matched one to one.

    Others that the reviewer saw are not asked.
    """
    # numpy costs a tenth of a second, which `--help` can do without.
    from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix

    if not added or not others:
        return frozenset()
    overlaps = iou_matrix(
        [decision.region.xyxy for decision in added.values()],
        [other.xyxy for other in others.values()],
    )
    pairs = []
    for row, (id, decision) in enumerate(added.items()):
        review = decision.review
        known = review.shown.keys() | {region.region_id for region in review.regions}
        for column, (other_id, other) in enumerate(others.items()):
            overlap = float(overlaps[row, column])
            alike = other.category == decision.region.category and other_id not in known
            if alike and overlap >= SAME_OBJECT_IOU:
                pairs.append((-overlap, id, other_id))
    doubles: dict[str, str] = {}
    for _, id, other_id in sorted(pairs):
        if id not in doubles and other_id not in doubles.values():
            doubles[id] = other_id
    return frozenset(doubles)
