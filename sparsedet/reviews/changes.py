"""From a verdict to changes of the annotations: what merges write and training sees."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sparsedet.reviews.model import ReviewedRegion, SourceState, holder_of, same_box
from sparsedet.reviews.verdicts import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Written:
    """The state in which a merge, or a resolved conflict, left an image; older reviews are done."""

    boxes: Mapping[str, ReviewedRegion | None] = field(default_factory=dict)
    """Region id -> the box as written; None: removed."""
    complete: bool = False
    """Whether the image was marked as complete."""
    holder: str = ""
    """The written annotation, as in `SourceState.holder`; empty: any."""
    complete_classes: frozenset[str] = frozenset()
    """Categories that were marked as complete by themselves."""


NOTHING_WRITTEN = Written()
_AT_ONCE = 500
"""Added boxes compared with all others at a time: bounds the memory on crowded images."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes that bring an image's annotations to a verdict."""

    added: Mapping[str, Decision] = field(default_factory=dict)
    """By region id."""
    edited: Mapping[str, ReviewedRegion] = field(default_factory=dict)
    """Id of the source's box -> its new state."""
    removed: frozenset[str] = frozenset()
    """Ids of the source's boxes."""
    marks_complete: bool = False
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Region id -> category missing from the project; the decision on the box is left out."""
    conflicts: Mapping[str, str] = field(default_factory=dict)
    """Region id -> what the source did to a box that a reviewer changed differently. If there is
    any, the image is left alone: training sees the source as it is, a merge writes nothing."""
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
    """Return the changes that bring an image's annotations to a verdict.

    A three-way comparison, box by box: what reviewers were shown, what they left, and what the
    source holds now. Changes on one side only are kept; a box changed differently on both sides is
    a conflict. Decisions that were written once are done: if the source differs now, somebody
    changed it since.

    Args:
        source: the current annotations in the project.
        verdict: of all reviews of the image.
        written: the state after the last merge.
        take_review: let the review win conflicts.
    """
    written = _written_to(source, written)
    located = _located(source, verdict, written)
    added: dict[str, Decision] = {}
    edited: dict[str, ReviewedRegion] = {}
    removed: set[str] = set()
    conflicts: dict[str, str] = {}
    unknown: dict[str, str] = {}
    # Of two boxes on one object, keep the one that a person saw.
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
        # By the id that reviewers know; boxes unknown to them get an unused id.
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
    """Return an image's boxes after the changes, by region id."""
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
    """Return the record of an image after `change` was made to it (or was found made).

    Judged boxes are recorded as reviewers left them, not as the source holds them: where these
    differ, somebody changed the source after an earlier merge, and their change is kept.

    Args:
        source: before the change.
        change: the change.
        verdict: the verdict that led to the change.
        written: the state after the previous merge.
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
    """Return the record after the source won a conflict: the review is done."""
    decided = {
        id: d.region if (d := verdict.decisions[id]).fate == "kept" else None for id in conflicts
    }
    return replace(written, boxes={**written.boxes, **decided})


def _written_to(source: SourceState, written: Written) -> Written:
    """Return the written state, or none if another annotation counts now."""
    is_other = written.holder and source.holder and written.holder != source.holder
    return NOTHING_WRITTEN if is_other else written


def _completed_classes(source: SourceState, verdict: Verdict, written: Written) -> frozenset[str]:
    """Return the classes to mark; none where the mark of the whole image says it all."""
    if source.complete or written.complete or verdict.complete:
        return frozenset()
    known = verdict.complete_classes if source.labels is None else source.labels
    return verdict.complete_classes & known - source.complete_classes - written.complete_classes


def _located(source: SourceState, verdict: Verdict, written: Written) -> dict[str, ReviewedRegion]:
    """Return the source's boxes by the ids that reviews use.

    If another tool renumbered them, boxes that the source held, or should hold, are found by
    category and position; among equal boxes, those to be kept come first.
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
    """Return ids of the source's boxes that replace an equal one which is to be kept.

    Of two equal boxes, the reviewer deleted one and somebody deleted the other in the source: both
    meant the same, and it makes no difference which one is left.
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
    """Return every state of a box known to reviewers or merges."""
    box = written.boxes.get(id)
    return [*([box] if box else []), *seen]


def _agrees(written: ReviewedRegion | None, decision: Decision) -> bool:
    """Whether a decision was written already."""
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
    """Whether the source should lose a box: deleted, or undecided after a merge."""
    return decision.fate == "deleted" or (decision.fate == "undecided" and id in written.boxes)


def _without_doubles(
    added: Mapping[str, Decision], standing: Mapping[str, ReviewedRegion]
) -> dict[str, Decision]:
    """Leave out boxes whose object already has a box by somebody else.

    Boxes that one reviewer saw or left together are different objects, even if they overlap.

    Args:
        added: by region id.
        standing: the source's boxes, by the ids that reviews use.
    """
    doubles, explained = set[str](), set[str]()
    # One to one, the largest overlap first.
    for _, id, other in sorted(_same_objects(added, standing)):
        if id not in doubles and other not in explained:
            doubles.add(id)
            explained.add(other)
    twins: dict[str, set[str]] = {}
    for _, id, other in _same_objects(added, {id: one.region for id, one in added.items()}):
        twins.setdefault(id, set()).add(other)
    kept: dict[str, Decision] = {}
    for id, decision in added.items():
        if id not in doubles and kept.keys().isdisjoint(twins.get(id, ())):
            kept[id] = decision
    return kept


def _same_objects(
    added: Mapping[str, Decision], others: Mapping[str, ReviewedRegion]
) -> Iterator[tuple[float, str, str]]:
    """Yield the pairs of an added box and another one on its object, which its reviewer didn't see.

    Yields:
        The negative IoU, the id of the added box, and that of the other one.
    """
    # numpy takes 0.1 s to import, which `--help` does without.
    from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix

    if not others:
        return
    names, other_names = list(added), list(others)
    places = [other.xyxy for other in others.values()]
    reviews = {id(decision.review): decision.review for decision in added.values()}
    known = {
        key: {*review.shown, *(region.region_id for region in review.regions)}
        for key, review in reviews.items()
    }
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        overlaps = iou_matrix([added[name].region.xyxy for name in part], places)
        for row, column in zip(*(overlaps >= SAME_OBJECT_IOU).nonzero(), strict=True):
            name, other = part[row], other_names[column]
            decision = added[name]
            alike = others[other].category == decision.region.category
            if alike and other not in known[id(decision.review)]:
                yield -float(overlaps[row, column]), name, other
