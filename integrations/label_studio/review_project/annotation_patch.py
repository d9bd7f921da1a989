"""What reviews say about the boxes of an annotation, and the annotation patched accordingly.

Only boxes that the reviews judged are changed, and the mark of a complete image. All other results
(polygons, brushes, texts, boxes of other controls) stay as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.tool import MOVED_PIXELS

from ..label_config import LabelConfig
from ..regions import Oddities, Region, is_complete, read_regions
from .review_tasks import ReviewTask

Result = Mapping[str, Any]
"""An entry of an annotation's `result` list, as the server holds it."""

_PLACE = ("x", "y", "width", "height", "rotation")


@dataclass(frozen=True, slots=True)
class WantedBox:
    """A box as a review wants it."""

    region: Region
    results: tuple[Result, ...]
    """Its rectangle first, then what else the reviewer noted on it: results that share its id."""


@dataclass(slots=True)
class Verdicts:
    """What reviews of one image say; later reviews overrule earlier ones."""

    wanted: dict[str, WantedBox] = field(default_factory=dict)
    """Region id -> box that was accepted, changed or drawn."""
    removed: set[str] = field(default_factory=set)
    """Region ids of boxes that were deleted or left undecided."""
    shown: dict[str, Region] = field(default_factory=dict)
    """Region id -> box as it was offered."""
    size: tuple[int, int] | None = None
    """Upright (width, height) of the image in pixels."""
    mark: Result | None = None
    """The result in which the newest review marks the image as complete."""

    def want(self, id: str, box: WantedBox) -> None:
        """Overrule what was said of this box before: it is to be there."""
        self.wanted[id] = box
        self.removed.discard(id)

    def remove(self, id: str) -> None:
        """Overrule what was said of this box before: it is not to be there."""
        self.wanted.pop(id, None)
        self.removed.add(id)


@dataclass(frozen=True, slots=True)
class Patch:
    """An annotation's results after the verdicts, and how they differ from before."""

    results: tuple[Result, ...]
    added: int
    edited: int
    removed: int
    marked_complete: bool

    @property
    def changes(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.edited or self.removed or self.marked_complete)


def judge(
    reviews: Iterable[ReviewTask],
    mined: frozenset[str],
    config: LabelConfig,
    oddities: Oddities,
) -> Verdicts:
    """Return what the reviews of one image say, oldest task first.

    A box of the annotation that a review left as it was shown is no verdict: another review may
    have moved it. A mined box that was left so is accepted.

    Args:
        reviews: submitted reviews.
        mined: ids of the mined boxes that were pushed on the image.
        config: of both projects.
        oddities: counts what no box can be made of; such a result is no verdict either.
    """
    verdicts = Verdicts()
    for task in reviews:
        _add(verdicts, task, mined, config, oddities)
    return verdicts


def apply(verdicts: Verdicts, results: Sequence[Result], config: LabelConfig, task: int) -> Patch:
    """Return the results of an annotation with the verdicts brought in.

    A changed box gets its new value and keeps every other key. With a removed box go the results
    that share its id and the relations that point to it, as in the editor. A box is not added where
    the annotation has one of the same object that the reviewers did not see.

    Args:
        verdicts: of all its reviews.
        results: the annotation's `result` list.
        config: the project's labelling config.
        task: the annotated task's id.
    """
    placed = _placed(results, config, task, size=verdicts.size)
    boxes = _found(placed, verdicts.shown)
    edits = {
        id: wanted
        for id, wanted in verdicts.wanted.items()
        if id in boxes and not same_box(boxes[id][1], wanted.region)
    }
    gone = verdicts.removed & boxes.keys()
    ids = {index: id for id, (index, _) in boxes.items()}
    unseen = [region for index, region in placed if ids.get(index) not in verdicts.shown]
    new: list[WantedBox] = []
    for region_id, wanted in verdicts.wanted.items():
        # Two reviewers may have drawn the same object.
        others = [*unseen, *(box.region for box in new)]
        if region_id not in boxes and not _is_among(wanted.region, others):
            new.append(wanted)
    after: list[Result] = []
    for index, result in enumerate(results):
        id = ids.get(index) or _id(result)
        if id in gone or not gone.isdisjoint(_ends(result)):
            continue
        edit = edits.get(id) if id is not None else None
        if id is None or edit is None:
            after.append(result)
        else:
            after.append(_changed(result, boxes[id][1], edit, is_box=index in ids, id=id))
    after += [result for wanted in new for result in wanted.results]
    marked = verdicts.mark is not None and not is_complete(results, config)
    if marked and verdicts.mark is not None:
        after = _with_mark(after, verdicts.mark)
    return Patch(tuple(after), len(new), len(edits), len(gone), marked)


def same_box(first: Region, second: Region) -> bool:
    """Whether two boxes have the same category, and no edge lies over `MOVED_PIXELS` apart."""
    return first.category_id == second.category_id and _same_place(first.xyxy, second.xyxy)


def _same_place(first: XYXY, second: XYXY) -> bool:
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) <= MOVED_PIXELS


def _add(
    verdicts: Verdicts,
    task: ReviewTask,
    mined: frozenset[str],
    config: LabelConfig,
    oddities: Oddities,
) -> None:
    """Add what a review says to what earlier ones said."""
    offered = task.reviewed_prediction.result if task.reviewed_prediction else ()
    results = [r for r in (task.review or {}).get("result") or [] if isinstance(r, Mapping)]
    shown = {id: box for id, (_, box) in _by_id(_placed(offered, config, task.id)).items()}
    verdicts.shown |= shown
    verdicts.size = verdicts.size or _image_size([*offered, *results])
    verdicts.mark = next((result for result in results if is_complete([result], config)), None)
    for id in shown.keys() - {_id(result) for result in results}:
        verdicts.remove(id)
    for id, (index, region) in _by_id(_placed(results, config, task.id, oddities)).items():
        before = shown.get(id)
        is_mined = id in mined or (before is not None and before.predicted)
        as_shown = before is not None and same_box(before, region)
        if region.unsure:
            if is_mined:
                verdicts.remove(id)
        elif not as_shown or (is_mined and id not in verdicts.wanted):
            attributes = (r for at, r in enumerate(results) if at != index and _id(r) == id)
            verdicts.want(id, WantedBox(region, (results[index], *attributes)))


_Placed = Sequence[tuple[int, Region]]
"""Boxes with their indices in a `result` list."""


def _placed(
    results: Sequence[Result],
    config: LabelConfig,
    task: int,
    oddities: Oddities | None = None,
    size: tuple[int, int] | None = None,
) -> _Placed:
    counts = Oddities() if oddities is None else oddities
    return [
        (index, region)
        for index, result in enumerate(results)
        for region in read_regions([result], config, task, counts, size)
    ]


def _by_id(placed: _Placed) -> dict[str, tuple[int, Region]]:
    """Return the boxes that have an id, by it; of several with one id the first."""
    by_id: dict[str, tuple[int, Region]] = {}
    for index, box in placed:
        if box.id is not None:
            by_id.setdefault(box.id, (index, box))
    return by_id


def _found(placed: _Placed, shown: Mapping[str, Region]) -> dict[str, tuple[int, Region]]:
    """Return the annotation's boxes by region id.

    Imported boxes may have no id; they were shown under one that the push made up, and are found
    by their place.
    """
    found = _by_id(placed)
    nameless = [(index, region) for index, region in placed if region.id is None]
    for id, region in shown.items():
        if id in found:
            continue
        match = next((box for box in nameless if same_box(box[1], region)), None)
        if match is not None:
            nameless.remove(match)
            found[id] = match
    return found


def _is_among(region: Region, others: Iterable[Region]) -> bool:
    """Whether one of the others shows the same object."""
    alike = [other.xyxy for other in others if other.category_id == region.category_id]
    return bool((iou_matrix([region.xyxy], alike) >= SAME_OBJECT_IOU).any())


def _changed(result: Result, before: Region, edit: WantedBox, *, is_box: bool, id: str) -> Result:
    """Return a result of a changed box: the rectangle, or one that repeats its place."""
    value, wanted = dict(result.get("value") or {}), edit.results[0]["value"]
    if "x" in value and not _same_place(before.xyxy, edit.region.xyxy):
        value |= {key: wanted[key] for key in _PLACE if key in wanted}
    if is_box and before.category_id != edit.region.category_id:
        value["rectanglelabels"] = wanted["rectanglelabels"]
    return {**result, "id": id, "value": value}


def _ends(result: Result) -> Iterable[str]:
    """Return the ids of the regions that a relation connects."""
    if not isinstance(result, Mapping) or result.get("type") != "relation":
        return ()
    return str(result.get("from_id")), str(result.get("to_id"))


def _id(result: Result) -> str | None:
    id = result.get("id") if isinstance(result, Mapping) else None
    return None if id is None else str(id)


def _with_mark(results: Sequence[Result], mark: Result) -> list[Result]:
    """Return the results with that of the mark's control, in the place of an older one."""
    control = mark["from_name"]
    older = [r for r in results if isinstance(r, Mapping) and r.get("from_name") == control]
    if not older:
        return [*results, mark]
    return [{**r, "value": mark["value"]} if r is older[0] else r for r in results]


def _image_size(results: Iterable[Result]) -> tuple[int, int] | None:
    for result in results:
        width, height = result.get("original_width"), result.get("original_height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return width, height
    return None
