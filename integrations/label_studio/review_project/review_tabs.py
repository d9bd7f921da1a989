"""Tabs for filtering and sorting review tasks, by figures in their data.

There is no tab for the blind sample: a reviewer who knows that an image belongs to it would look
more closely. Its images are among those without mined boxes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.push_modes import ToReview

from ..client.connection import Connection
from ..views import add_missing_views, remove_views

SUREST, DOUBTFUL = "sparsedet_highest_precision", "sparsedet_lowest_precision"
"""Highest and lowest expected precision of the mined boxes on an image."""
BOXES = "sparsedet_boxes"
"""Number of mined boxes."""
CLASSES = "sparsedet_classes"
"""Number per class: `| orange: 2 | parcel: 1 |`."""
MISSING = "sparsedet_missing"
"""Expected number of objects without a box, only for images with mined boxes: elsewhere it would
reveal the blind sample, whose images contain more than others without boxes."""

_COUNTED = re.compile(r"\| (.+?): \d+(?= \|)")
"""A class in `CLASSES`, whose name may contain bars."""
_PREFIX = "tasks:data."
_TITLES = {"surest": "Surest", "doubtful": "Most doubtful", "none": "Without mined boxes"}
_MOST_CLASSES = 12
"""Maximum number of tabs for classes."""
_NUMBERS = (SUREST, DOUBTFUL, BOXES, MISSING)
KEYS = frozenset({*_NUMBERS, CLASSES})
"""All keys that a push writes to the data of a task."""

Facts = Mapping[str, Mapping[str, object]]
"""Annotated task -> figures for the data of its review task."""


def facts_of(wanted: ToReview) -> Facts:
    """Return the figures for the data of review tasks."""
    dataset = wanted.dataset
    by_image: dict[int, list[MinedBox]] = {id: [] for id in wanted.queue}
    for box in wanted.left:
        by_image.setdefault(box.image_id, []).append(box)
    return {
        image.tool_id: _facts(boxes, dataset, wanted.missing.get(image.id))
        for id, boxes in by_image.items()
        for image in (dataset.image_by_id[id],)
        if image.tool_id is not None
    }


def show_tabs(connection: Connection, review: int, facts: Facts, hidden: Sequence[str]) -> None:
    """Add the tabs that a review project lacks.

    Args:
        connection: to the server.
        review: number of the review project.
        facts: figures of its tasks; missing ones get no tab.
        hidden: columns that no tab shows.
    """
    said = {key for of_task in facts.values() for key in of_task}
    classes = sorted({name for of_task in facts.values() for name in classes_of(of_task)})
    views: dict[str, Mapping[str, Any]] = {}
    if SUREST in said:
        with_boxes = _filter(BOXES, "greater", 0)
        views[_TITLES["surest"]] = _view(f"-{_PREFIX}{SUREST}", with_boxes, hidden)
        views[_TITLES["doubtful"]] = _view(f"{_PREFIX}{DOUBTFUL}", with_boxes, hidden)
    if any(not of_task[BOXES] for of_task in facts.values()):
        views[_TITLES["none"]] = _view("tasks:id", _filter(BOXES, "equal", 0), hidden)
    if 1 < len(classes) <= _MOST_CLASSES:
        for name in classes:
            of_class = _filter(CLASSES, "contains", f"| {name}: ", kind="String")
            views[f"With {name}"] = _view("tasks:id", of_class, hidden)
    add_missing_views(connection, review, views)


def remove_tabs(connection: Connection, review: int, *, dry_run: bool) -> int:
    """Delete the tabs of `show_tabs`; return how many there were."""
    keys = {f"filter:{_PREFIX}{key}" for key in (BOXES, CLASSES)}

    def is_ours(view: Mapping[str, Any]) -> bool:
        items = (view.get("filters") or {}).get("items") or ()
        title = str(view.get("title"))
        named = title in _TITLES.values() or title.startswith("With ")
        return named and any(item.get("filter") in keys for item in items)

    return remove_views(connection, review, is_ours, dry_run=dry_run)


def _facts(
    boxes: Sequence[MinedBox], dataset: Dataset, missing: float | None
) -> Mapping[str, object]:
    facts: dict[str, object] = {BOXES: len(boxes)}
    chances = [b.expected_precision for b in boxes if b.expected_precision is not None]
    if chances:
        facts |= {SUREST: round(max(chances), 3), DOUBTFUL: round(min(chances), 3)}
    if missing is not None and boxes:
        facts[MISSING] = round(missing, 2)
    names = [dataset.category_by_id[box.category_id].name for box in boxes]
    if names:
        counts = (f"{name}: {names.count(name)}" for name in sorted(set(names)))
        facts[CLASSES] = f"| {' | '.join(counts)} |"
    return facts


def classes_of(facts: Mapping[str, object]) -> list[str]:
    """Return the classes counted in a task's data."""
    return _COUNTED.findall(str(facts.get(CLASSES, "")))


def _filter(key: str, operator: str, value: object, *, kind: str = "Number") -> dict[str, Any]:
    name = f"filter:{_PREFIX}{key}"
    return {"filter": name, "operator": operator, "type": kind, "value": value}


def _view(ordering: str, chosen: Mapping[str, Any], hidden: Sequence[str]) -> Mapping[str, Any]:
    """Return a tab of the open tasks that a filter chooses."""
    unreviewed = {
        "filter": "filter:tasks:total_annotations",
        "operator": "equal",
        "type": "Number",
        "value": 0,
    }
    return {
        "ordering": [ordering],
        "filters": {"conjunction": "and", "items": [unreviewed, chosen]},
        "columnsDisplayType": {f"{_PREFIX}{key}": "Number" for key in _NUMBERS},
        "hiddenColumns": {"explore": list(hidden), "labeling": list(hidden)},
    }
