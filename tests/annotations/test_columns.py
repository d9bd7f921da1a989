"""Bulk reading of annotations: equal to reading one by one, or declined."""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Box
from sparsedet.annotations.coco import from_coco, to_coco
from sparsedet.annotations.columns import read_columns
from sparsedet.annotations.entries import EntryReader
from sparsedet.annotations.table import BoxTable
from sparsedet.errors import AnnotationError

SIZES = {7: (60, 40), 2: (50, 30), 90: (10, 1000)}
CATEGORIES = {3, 1}

_SIDE = st.one_of(
    st.integers(-5, 70),
    st.floats(-5, 70),
    st.sampled_from([0, 1e-5, 0.5e-4, 0.6e-4, 2e-4, 10.00005, 39.9999, 40.0001, 59.99995]),
)
_GOOD = st.fixed_dictionaries(
    {
        "image_id": st.sampled_from(sorted(SIZES)),
        "category_id": st.sampled_from(sorted(CATEGORIES)),
        "bbox": st.one_of(
            st.lists(st.integers(1, 9), min_size=4, max_size=4),
            st.lists(st.floats(1, 5), min_size=4, max_size=4),
            # Near and over the edges, thin, or without area.
            st.lists(_SIDE, min_size=4, max_size=4),
        ),
    },
    optional={
        "iscrowd": st.sampled_from([0, 1]),
        "area": st.one_of(st.none(), st.just(0), st.floats(0, 900), st.integers(0, 900)),
        "segmentation": st.lists(st.floats(0, 9), max_size=2),
        "origin": st.sampled_from(["human", "edited", None]),
        "tool_id": st.sampled_from(["r1", 5, None]),
        "score": st.floats(0, 1),
    },
)
_EMPTY = st.fixed_dictionaries(
    {
        "image_id": st.just(7),
        "category_id": st.just(1),
        "bbox": st.sampled_from([[1, 2, 0, 0], [1.5, 2, 0, 3], [70, 2, 4, 0.0], [1, 2, 0, -1]]),
        "area": st.sampled_from([0, 0.0]),
    }
)
_OVER = st.fixed_dictionaries(
    {
        "image_id": st.just(7),
        "category_id": st.just(1),
        "bbox": st.tuples(
            st.sampled_from([-3, -0.5, -2e-4, -1e-4, 0, 50]),
            st.sampled_from([-2, 0, 20.00015, 20.5]),
            st.floats(5, 20),
            st.floats(19.9999, 25),
        ).map(list),
    }
)
_ANY: list[Any] = [None, True, "1", 1.0, 10**30, float("nan"), float("inf"), [], {}, "missing"]
_WRONG: dict[str, list[Any]] = {
    "id": [*_ANY, 1, -1],
    "image_id": [*_ANY, 3, 8, 100, -1],
    "category_id": [*_ANY, 2],
    "bbox": [
        *_ANY,
        [1, 2, 3],
        [1, 2, 3, True],
        [1, 2, "3", 4],
        [1, 2, float("nan"), 4],
        [float("inf"), 2, 3, 4],
        [1, 2, 10**30, 4],
        [1, 2, 0, 4],
        [1, 2, 3, -4],
        [1, 2, 0.5e-4, 3],
        [99, 2, 3, 4],
    ],
    "iscrowd": [*_ANY, 2, -1, False],
    "area": [*_ANY, 0, -1, -0.5],
}
_BREAKS = st.tuples(
    st.integers(0, 20),
    st.sampled_from([(key, value) for key, values in _WRONG.items() for value in values]),
)


@st.composite
def contents(draw: st.DrawFn) -> list[Any]:
    """Draw annotations of which most are in order, and none or a few are broken."""
    entries: list[Any] = draw(st.lists(_GOOD | _EMPTY | _OVER, max_size=8))
    ids = draw(st.permutations(range(1, len(entries) + 1)))
    entries = [{"id": id, **entry} for id, entry in zip(ids, entries, strict=True)]
    for row, (key, value) in draw(st.lists(_BREAKS, max_size=2)):
        if entries and value == "missing":
            entries[row % len(entries)].pop(key, None)
        elif entries:
            entries[row % len(entries)][key] = deepcopy(value)
    if draw(st.sampled_from([False] * 9 + [True])):
        entries.insert(0, draw(st.sampled_from([None, [], "a", 1])))
    return entries


def _one_by_one(entries: Sequence[Any]) -> tuple[tuple[Box, ...], EntryReader]:
    reader = EntryReader("file")
    reader.sizes, reader.category_ids = SIZES, CATEGORIES
    return reader.read_all(list(entries), "annotations", reader.box), reader


@given(contents())
def test_both_ways_agree_or_columns_give_up(entries: list[Any]) -> None:
    before = deepcopy(entries)
    columns = read_columns(entries, SIZES, CATEGORIES)
    assert repr(entries) == repr(before)
    if columns is None:
        return
    boxes, reader = _one_by_one(entries)
    assert columns.table.rows == boxes
    assert [f"annotations id {id}" for id in columns.clipped] == reader.clipped
    assert [f"annotations id {id}" for id in columns.empty] == reader.empty
    _agrees_with_rows(columns.table)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in _WRONG.items() for value in values]
)
def test_each_broken_value_is_seen_by_both(key: str, value: object) -> None:
    entries: list[dict[str, Any]] = [
        {"id": id, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 5, "iscrowd": 0}
        for id in (1, 2)
    ]
    entries[1][key] = value
    if value == "missing":
        del entries[1][key]
    columns = read_columns(entries, SIZES, CATEGORIES)
    try:
        boxes, reader = _one_by_one(entries)
    except AnnotationError:
        assert columns is None
        return
    if columns is not None:
        assert columns.table.rows == boxes
        assert [f"annotations id {id}" for id in columns.clipped] == reader.clipped


@given(contents())
def test_broken_entries_are_never_taken_at_once(entries: list[Any]) -> None:
    try:
        _one_by_one(entries)
    except AnnotationError:
        assert read_columns(entries, SIZES, CATEGORIES) is None


@given(st.lists(_GOOD | _EMPTY | _OVER, min_size=1, max_size=8))
def test_columns_take_what_is_in_order(drawn: list[Any]) -> None:
    """Without this the other tests would hold for columns that always give up."""
    entries = [{"id": number, **entry} for number, entry in enumerate(drawn)]
    try:
        _one_by_one(entries)
    except AnnotationError:
        return
    assert read_columns(entries, SIZES, CATEGORIES) is not None


@pytest.mark.parametrize("key", ["id", "image_id", "category_id"])
def test_ids_beyond_64_bits_need_a_closer_look(key: str) -> None:
    entry = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}
    assert read_columns([entry], SIZES, CATEGORIES) is not None
    assert read_columns([{**entry, key: 2**63}], SIZES, CATEGORIES) is None
    assert read_columns([{**entry, key: -(2**63) - 1}], SIZES, CATEGORIES) is None


@pytest.mark.parametrize(
    ("bbox", "clipped"),
    [
        ([-1e-4, 0, 9, 9], []),
        ([50, 30.0001, 10, 10], []),
        ([-3e-4, 0, 9, 9], [1]),
        ([50, 30, 10.5, 10], [1]),
    ],
)
def test_only_what_rounding_does_not_explain_counts_as_clipped(
    bbox: list[float], clipped: list[int]
) -> None:
    entry = {"id": 1, "image_id": 7, "category_id": 1, "bbox": bbox}
    columns = read_columns([entry], SIZES, CATEGORIES)
    assert columns is not None
    assert columns.clipped == clipped


def test_one_broken_entry_among_many_is_found() -> None:
    entries = [
        {"id": number, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}
        for number in range(1000)
    ]
    assert read_columns(entries, SIZES, CATEGORIES) is not None
    for key, value in [("id", 999), ("image_id", 3), ("bbox", [1, 2, 0, 4]), ("iscrowd", 2)]:
        broken = [*entries[:-2], {**entries[-2], key: value}, entries[-1]]
        assert read_columns(broken, SIZES, CATEGORIES) is None


_INSIDE = st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0.1, 9), st.floats(0.1, 9))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**15),
            _INSIDE,
            st.dictionaries(st.sampled_from(["score", "attributes", "num"]), st.integers()),
        ),
        unique_by=lambda row: row[0],
        max_size=6,
    ),
    st.booleans(),
)
def test_what_is_read_is_written_to_the_digit(
    rows: list[tuple[int, tuple[float, ...], dict[str, int]]], is_given: bool
) -> None:
    annotations = [
        {
            "id": id,
            "image_id": 7,
            "category_id": 3,
            "bbox": list(bbox),
            **({"area": bbox[2], "iscrowd": 0} if is_given else {}),
            **extra,
        }
        for id, bbox, extra in rows
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 40}],
        "categories": [{"id": 3, "name": "cell"}],
        "annotations": deepcopy(annotations),
    }
    written = json.loads(json.dumps(to_coco(from_coco(content, source="file"))["annotations"]))
    for before, after in zip(annotations, written, strict=True):
        assert list(after)[: len(before)] == list(before)
        assert {key: after[key] for key in before} == before
        assert set(after) - set(before) == (set() if is_given else {"area", "iscrowd"})


def _agrees_with_rows(table: BoxTable) -> None:
    """Check columns against the boxes as objects."""
    assert table.ids.tolist() == [box.id for box in table]
    assert table.image_ids.tolist() == [box.image_id for box in table]
    assert table.category_ids.tolist() == [box.category_id for box in table]
    assert table.iscrowd.tolist() == [box.iscrowd for box in table]
    assert [tuple(xyxy) for xyxy in table.xyxy.tolist()] == [box.xyxy for box in table]
    assert len(table) == len(table.rows) == len(table.sources)


@given(contents(), st.randoms(use_true_random=False))
def test_selected_rows_are_those_of_the_whole(entries: list[Any], random: Any) -> None:
    columns = read_columns(entries, SIZES, CATEGORIES)
    if columns is None:
        return
    table = columns.table
    chosen = np.array([random.random() < 0.5 for _ in table], dtype=np.bool_)
    selected = table.select(chosen)
    assert list(selected) == [box for box, is_in in zip(table, chosen, strict=True) if is_in]
    _agrees_with_rows(selected)
    on_image = table.on_images({7})
    assert list(on_image) == [box for box in table if box.image_id == 7]
    _agrees_with_rows(on_image)
    assert list(table.on_images(set())) == []


@given(contents())
def test_a_table_equals_its_boxes(entries: list[Any]) -> None:
    columns = read_columns(entries, SIZES, CATEGORIES)
    if columns is None:
        return
    table = columns.table
    made = BoxTable.of(tuple(table))
    _agrees_with_rows(made)
    assert table == made
    assert table == list(table)
    assert table == tuple(table)
    assert BoxTable.of(table) is table
    assert table[:1] == tuple(table)[:1]
    if len(table):
        assert table != list(table)[1:]
        assert table != [*table[:-1], replace(table[-1], area=12345.0)]
        assert table[-1] == tuple(table)[-1]


def test_a_table_is_compared_as_a_list_is() -> None:
    table = BoxTable.of([Box(1, 7, 3, (0, 0, 5, 5), extra={"score": 1})])
    assert table != "box"
    assert table != 1
    assert table != [Box(1, 7, 3, (0, 0, 5, 5))]
    with pytest.raises(TypeError, match="unhashable"):
        hash(table)
    with pytest.raises(IndexError):
        table[1]


@pytest.mark.parametrize("boxes", [(), []])
def test_a_table_without_boxes_has_its_shapes(boxes: Sequence[Box]) -> None:
    table = BoxTable.of(boxes)
    assert table.xyxy.shape == (0, 4)
    assert table == []
    assert table.select(np.zeros(0, dtype=np.bool_)) == table
    assert table.on_images({7}) == table
