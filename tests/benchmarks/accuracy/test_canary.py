"""Recorded cells, trained again, lie within the spread of their rows or outside."""

from collections.abc import Sequence

import pytest

from benchmarks.accuracy.canary import WITHIN, Expected, choose
from benchmarks.accuracy.plan import cells
from benchmarks.accuracy.record import Record
from sparsedet.errors import SparseDetError
from tests.benchmarks.accuracy.records import PLAN, cell, record, variant

PLAIN = [record(cell("plain", seed), ap) for seed, ap in ((1, 50), (2, 52), (3, 51))]
STAGED = [record(cell("staged", seed), ap) for seed, ap in ((1, 60), (2, 66), (3, 63))]
FEW = record(cell("end-to-end"), 40)


@pytest.mark.parametrize(
    ("of", "records", "low", "high", "says"),
    [
        # Deviation 1, around 50 to 52.
        (PLAIN[0], [*PLAIN, *STAGED], 49, 53, "3 seeds, widened by their deviation, 1.00"),
        (FEW, [*PLAIN, FEW], 38, 42, "1 seed, widened by twice the largest deviation of all rows"),
        (FEW, [*PLAIN, *STAGED, FEW], 34, 46, "all rows of this dataset, 3.00"),
        # A row of another share, two seeds: the method's own deviation counts, not the larger one.
        (
            record(cell("plain", drop=0.0), 70),
            [*PLAIN, *STAGED, *(record(cell("plain", s, drop=0.0), 70 + s) for s in (0, 2))],
            68,
            74,
            "2 seeds, widened by twice the largest deviation of other rows of plain, 1.00",
        ),
        # So do rows of this setting alone.
        (
            FEW,
            [
                *PLAIN,
                *(record(cell("plain", s, iterations=16), 50 + 9 * s) for s in (1, 2, 3)),
                FEW,
            ],
            38,
            42,
            "all rows of this dataset, 1.00",
        ),
    ],
)
def test_the_spread_of_a_cell(
    of: Record, records: Sequence[Record], low: float, high: float, says: str
) -> None:
    expected = Expected.of(of, records)
    assert (expected.low, expected.high) == (low, high)
    assert says in expected.text()
    assert f"with this seed {of.figures.AP:.2f} at commit c0ffee1" in expected.text()
    for ap in (low, high):
        assert expected.verdict(record(of.cell, ap)) == WITHIN
    for ap in (low - 0.01, high + 0.01):
        assert expected.verdict(record(of.cell, ap)) == "OUTSIDE the spread"


def test_figures_of_other_boxes_are_not_compared() -> None:
    expected = Expected.of(PLAIN[0], PLAIN)
    found = expected.verdict(record(PLAIN[0].cell, 50, training_boxes=31))
    assert found == (
        "OTHER DATA: 31 training, 70 removed and 40 test boxes instead of "
        "30 training, 70 removed and 40 test"
    )


def test_without_three_seeds_anywhere_there_is_no_spread() -> None:
    with pytest.raises(SparseDetError, match="no cell has 3 recorded seeds"):
        Expected.of(FEW, [*PLAIN[:2], FEW])


def test_one_cell_of_each_method_is_chosen() -> None:
    planned = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    all_labels = [record(cell("staged", seed, drop=0.0), 70) for seed in (1, 2, 3)]
    without_spread = record(cell("plain", drop=0.0), 70)
    ablation = record(variant("mined once", 1), 60)
    records = [without_spread, *all_labels, *PLAIN, ablation, *STAGED, FEW]
    assert choose(planned, records) == [PLAIN[0], STAGED[0], FEW]
    # A row with a spread before sparse labels, and the method as it is before a variant.
    assert choose(planned, [*all_labels, ablation, STAGED[0]]) == [all_labels[0]]
    assert choose([ablation.cell, FEW.cell], records) == [ablation, FEW]
    with pytest.raises(SparseDetError, match="none of these cells is recorded"):
        choose(planned[:1], [FEW])
