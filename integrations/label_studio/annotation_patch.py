"""Applies changes of boxes to an annotation's results.

Only the named boxes and the mark of a complete image are changed. All other results (polygons,
brushes, texts, boxes of other controls and other images) are kept. If one control draws and
another one labels, a box consists of two results.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsedet.annotations import XYXY, Image
from sparsedet.reviews import Changes, ReviewedRegion, SourceState, moved

from .class_marks import with_classes
from .geometry import GeometryError, to_percent
from .labelling_config.label_config import LabelConfig
from .predictions import make_region
from .regions import is_complete
from .results import (
    PLACE,
    Result,
    is_boxed_shape,
    is_elsewhere,
    is_label_of_drawn,
    is_rectangle,
    marks_a_place,
    result_ids,
    stored_id,
)


def patched(
    results: Sequence[Result],
    change: Changes,
    boxes: Mapping[str, ReviewedRegion],
    config: LabelConfig,
    size: tuple[int, int],
) -> list[Result]:
    """Return the results of an annotation after a change.

    A changed box gets its new value and keeps all other keys. Removing a box also removes results
    that share its id and relations that point to it, and regions grouped under it move up to its
    parent, as in the editor. An added box keeps its reviewer's notes, and its group if the region
    that it is grouped under is there. Boxes that share an id get new, distinct ids.

    Args:
        results: the annotation's `result` list.
        change: the changes, with the ids of `boxes`.
        boxes: the annotation's boxes by region id, as `read_regions` gives them.
        config: the project's labelling config.
        size: upright (width, height) of the image in pixels.

    Raises:
        GeometryError: if a box does not fit into the image.
    """
    ids = result_ids(results, config)
    # A mined box that was marked as unsure and is now accepted.
    again = {
        id
        for result, id in zip(results, ids, strict=True)
        if id in change.added and id not in boxes and is_rectangle(result, config)
    }
    parents = {
        id: result.get("parentID")
        for result, id in zip(results, ids, strict=True)
        if id is not None and id in change.removed and is_rectangle(result, config)
    }
    after: list[Result] = []
    for result, id in zip(_regrouped(results, parents), ids, strict=True):
        if id in change.removed | again or not change.removed.isdisjoint(_ends(result)):
            continue
        edit = change.edited.get(id) if id is not None else None
        is_box = is_rectangle(result, config)
        if id is not None and edit is not None:
            after.append(_changed(result, boxes[id], edit, config, size, id=id, is_box=is_box))
        elif is_box and stored_id(result) not in (id, None):
            # Otherwise it would take over the first box's id once that is removed.
            after.append({**result, "id": id})
        else:
            after.append(result)
    taken = {id for id in map(stored_id, after) if id is not None}
    taken |= {id for id in result_ids(after, config) if id is not None}
    added: list[Result] = []
    for id, decision in change.added.items():
        # For example, a polygon may have the id by now.
        free = next(
            name for name in (id, *(f"{id}-{n}" for n in range(2, 99))) if name not in taken
        )
        added += _new(free, decision.region, config, size)
    there = taken | set(map(stored_id, added))
    after += (_ungrouped_from_missing(result, there) for result in _regrouped(added, parents))
    if change.marks_complete:
        after = _with_mark(after, config)
    return with_classes(after, change.completed_classes, config)


def without_shapes(
    change: Changes, boxes: Mapping[str, ReviewedRegion], config: LabelConfig
) -> Changes:
    """Return a change without the parts for boxes that were made from polygons and other shapes.

    Args:
        change: the changes, with the ids of `boxes`.
        boxes: the annotation's boxes by region id.
        config: the project's labelling config.
    """
    fixed = {
        id for id, box in boxes.items() if box.content and is_boxed_shape(box.content[0], config)
    }
    edited = {id: box for id, box in change.edited.items() if id not in fixed}
    return replace(change, edited=edited, removed=change.removed - fixed) if fixed else change


def combined(
    people: Sequence[Sequence[Result]], boxes: Iterable[ReviewedRegion], config: LabelConfig
) -> list[Result]:
    """Combine several people's annotations into one `result` list.

    It contains the given boxes with their notes, and all other shapes; of results about the whole
    image (choices, texts), the last person's.

    Args:
        people: `result` lists, oldest first.
        boxes: the boxes to keep, from `read_regions`.
        config: the project's labelling config.
    """
    after: list[Result] = [
        {**result, "id": box.region_id} for box in boxes for result in box.content
    ]
    rest: dict[object, Result] = {}
    for results in people:
        read = [r for r in results if isinstance(r, Mapping)]
        ids = result_ids(read, config)
        drawn = {id for r, id in zip(read, ids, strict=True) if marks_a_place(r, config)}
        ours = {id for r, id in zip(read, ids, strict=True) if is_rectangle(r, config)}
        for result, id in zip(read, ids, strict=True):
            if result.get("type") != "relation" and id not in ours:
                rest[id if id in drawn else None, result.get("from_name")] = result
    after += rest.values()
    there = {str(result.get("id")) for result in after}
    relations = [r for results in people for r in results if there.issuperset(_ends(r) or {""})]
    return after + [r for at, r in enumerate(relations) if r not in relations[:at]]


def _new(
    id: str, region: ReviewedRegion, config: LabelConfig, size: tuple[int, int]
) -> list[Result]:
    """Return the results of an added box, as its reviewer left it."""
    if not region.content:
        place = to_percent(_inside(region.xyxy, size), *size)
        image = Image(id=0, file_name="", width=size[0], height=size[1])
        made = make_region(id, region.category, place, image, config, origin="prediction")
        return _as_drawn(made, config)
    rectangle, *noted = region.content
    value = {**rectangle["value"], "rectanglelabels": [config.stored_labels[region.category]]}
    own = {
        "id": id,
        "type": "rectanglelabels",
        "from_name": config.control,
        "to_name": config.image,
        "original_width": size[0],
        "original_height": size[1],
        "value": value,
    }
    rest = (result for result in noted if not is_label_of_drawn(result, config))
    drawn = _as_drawn({**rectangle, **own}, config)
    return [*drawn, *({**result, "id": id} for result in rest)]


def _as_drawn(box: Result, config: LabelConfig) -> list[Result]:
    """Return the results of a box as the project's controls write it.

    Args:
        box: of a RectangleLabels control.
        config: of the project.
    """
    if config.item is not None:
        box = {**box, "item_index": config.item}
    if not config.drawer:
        return [box]
    place = {key: of_box for key, of_box in box["value"].items() if key != "rectanglelabels"}
    labelled = {**place, "labels": box["value"]["rectanglelabels"]}
    return [
        {**box, "from_name": config.drawer, "type": "rectangle", "value": place},
        {**box, "type": "labels", "value": labelled},
    ]


def _changed(
    result: Result,
    before: ReviewedRegion,
    edit: ReviewedRegion,
    config: LabelConfig,
    size: tuple[int, int],
    *,
    id: str,
    is_box: bool,
) -> Result:
    """Return a result of a changed box: the rectangle, or one that repeats its coordinates."""
    value = dict(result.get("value") or {})
    # A rotated box of which only the label changed stays rotated.
    if "x" in value and moved(before.xyxy, edit.xyxy):
        wanted = edit.content[0]["value"] if edit.content else None
        place = wanted or {**to_percent(_inside(edit.xyxy, size), *size), "rotation": 0}
        value |= {key: place[key] for key in PLACE if key in place}
    if before.category != edit.category:
        label = [config.stored_labels[edit.category]]
        if is_label_of_drawn(result, config):
            value["labels"] = label
        elif is_box and not config.drawer:
            value["rectanglelabels"] = label
    return {**result, "id": id, "value": value}


def _inside(xyxy: XYXY, size: tuple[int, int]) -> XYXY:
    width, height = size
    left, top, right, bottom = xyxy
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)


def _regrouped(results: Sequence[Result], removed: Mapping[str, Any]) -> Iterator[Result]:
    """Yield results, with the next parent that is left where theirs is removed.

    Args:
        results: the annotation's `result` list.
        removed: id of each removed box -> id of its parent, if it has one.
    """
    for result in results:
        parent = result.get("parentID") if isinstance(result, Mapping) else None
        if not isinstance(parent, str) or parent not in removed:
            yield result
            continue
        passed: set[str] = set()  # so that a circle of parents ends
        while isinstance(parent, str) and parent in removed and parent not in passed:
            passed.add(parent)
            parent = removed[parent]
        rest = _ungrouped_from_missing(result, ())
        is_left = isinstance(parent, str) and parent and parent not in removed
        yield {**rest, "parentID": parent} if is_left else rest


def _ungrouped_from_missing(result: Result, there: Collection[str | None]) -> Result:
    """Return a result without the region that it is grouped under, unless that is there."""
    parent = result.get("parentID")
    if isinstance(parent, str) and parent in there:
        return result
    return {key: value for key, value in result.items() if key != "parentID"}


def _ends(result: object) -> set[str]:
    """Return the ids of the regions that a relation connects; empty for other results."""
    if not isinstance(result, Mapping) or result.get("type") != "relation":
        return set()
    return {str(result.get("from_id")), str(result.get("to_id"))}


def _with_mark(results: Sequence[Result], config: LabelConfig) -> list[Result]:
    """Return the results with the mark of a complete image added to its control's result.

    If the control takes several choices, existing ones are kept.
    """
    mark = config.complete
    if mark is None or is_complete(results, config):
        return list(results)
    value = {"choices": [mark.choice]}
    older = [
        result
        for result in results
        if isinstance(result, Mapping)
        and result.get("from_name") == mark.control
        and not is_elsewhere(result, config)
    ]
    if older:
        before = older[0].get("value")
        made = before.get("choices") if mark.multiple and isinstance(before, Mapping) else None
        if isinstance(made, list):
            value = {"choices": [*made, mark.choice]}
        return [{**r, "value": value} if r is older[0] else r for r in results]
    new: dict[str, Any] = {
        "id": "sparsedet-complete" if config.item is None else f"sparsedet-complete-{config.item}",
        "from_name": mark.control,
        "to_name": mark.to_name,
        "type": "choices",
        "origin": "manual",
        "value": value,
    }
    if config.item is not None:
        new["item_index"] = config.item
    return [*results, new]


def own_size(state: SourceState, change: Changes) -> tuple[int, int]:
    """Return the image's size as recorded in regions."""
    regions = [*state.boxes.values(), *(d.region for d in change.added.values())]
    for result in (result for region in regions for result in region.content):
        width, height = result.get("original_width"), result.get("original_height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return width, height
    raise GeometryError("the size of its image is unknown; pull, then merge again")
