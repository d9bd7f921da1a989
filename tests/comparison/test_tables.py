"""Counts by class, boxes per image, size, position and neighbourhood."""

import numpy as np
import pytest

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.comparison.replicates import candidates
from sparsedet.comparison.tables import make_row, make_tables, rows
from tests.comparison.data import CATEGORIES, boxes_of, coco_like, sparse

# Four boxes on a large image, one on another; what every table says of them is known by hand.
BOXES = (
    Box(1, 1, 1, (0, 0, 20, 20)),  # small, in the corner; 1st cat
    Box(2, 1, 1, (500, 450, 550, 500)),  # medium, in the centre; 2nd cat
    Box(3, 1, 2, (400, 700, 600, 980)),  # large, near the lower edge; dog
    Box(4, 1, 1, (560, 460, 600, 500)),  # medium, next to the second; 3rd cat
    Box(5, 2, 2, (10, 10, 30, 30)),
)
DATASET = Dataset(
    (Image(1, "a.jpg", 1000, 1000), Image(2, "b.jpg", 40, 40), Image(3, "c.jpg", 9, 9)),
    BOXES,
    CATEGORIES,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("class", {"cat": (3, 2), "dog": (2, 1)}),
        ("boxes_per_image", {"1": (1, 1), "3-4": (4, 2)}),
        (
            "size",
            {"small: below 32 x 32": (2, 2), "medium": (2, 1), "large: from 96 x 96": (1, 0)},
        ),
        (
            "border",
            {
                "touches the edge": (1, 1),
                "2-5 %": (1, 0),
                "20-30 %": (1, 1),
                "30 % and more": (2, 1),
            },
        ),
        ("place", {"top left": (1, 1), "centre": (3, 2), "bottom centre": (1, 0)}),
        ("neighbours", {"0": (3, 2), "1": (2, 1)}),
        ("same_class", {"1": (2, 1), "3-4": (3, 2)}),
        ("number_in_row", {"1st": (3, 2), "2nd": (1, 0), "3rd to 4th": (1, 1)}),
    ],
)
def test_boxes_and_removed_ones_are_counted_by(
    name: str, expected: dict[str, tuple[int, int]]
) -> None:
    tables = make_tables(candidates(boxes_of(DATASET), 1), ("cat", "dog"))
    table = next(table for table in tables if table.name == name)
    removed = np.array([True, False, False, True, True])
    assert {row.label: (row.boxes, row.removed) for row in rows(table, removed)} == expected


def test_every_table_counts_every_box_once() -> None:
    full = coco_like(200)
    boxes = boxes_of(full)
    removed = np.arange(len(boxes)) % 3 == 0
    for table in make_tables(candidates(boxes, 1), boxes.classes):
        found = rows(table, removed)
        assert sum(row.boxes for row in found) == len(boxes), table.name
        assert sum(row.removed for row in found) == removed.sum(), table.name


def test_tenths_have_equal_numbers_of_boxes() -> None:
    boxes = boxes_of(coco_like(200))
    tables = make_tables(candidates(boxes, 1), boxes.classes)
    table = next(table for table in tables if table.name == "share_of_image")
    counts = table.counts()
    assert len(counts) == 10
    assert abs(counts - len(boxes) / 10).max() <= 2


def test_the_interval_is_that_of_wilson() -> None:
    row = make_row("any", 100, 30)
    assert (row.low, row.share, row.high) == pytest.approx((0.2189, 0.3, 0.3958), abs=1e-3)
    assert make_row("none", 10, 0).low == 0
    assert make_row("all", 10, 10).high == 1
    assert make_row("all", 10, 10).low == pytest.approx(0.7225, abs=1e-3)


def test_a_tendency_shows_in_its_table() -> None:
    full = coco_like(400)
    left = {box.id for box in sparse(full, "skip-border").boxes}
    boxes = boxes_of(full)
    removed = np.array([number not in left for number in boxes.id.tolist()])
    tables = {table.name: table for table in make_tables(candidates(boxes, 1), boxes.classes)}
    shares = [row.share for row in rows(tables["border"], removed) if row.boxes > 100]
    assert shares[0] == max(shares)
    assert shares[-1] == min(shares)
    assert shares[0] > shares[-1] + 0.4
