"""What is kept of a cell, and that what was kept before is still read."""

from pathlib import Path

from benchmarks.accuracy.record import Figures, read_records
from sparsedet.training.evaluation.average_precision import Evaluation

ROOT = Path(__file__).parents[3]


def test_stored_cells_are_read() -> None:
    assert len(read_records(ROOT / "benchmarks/results/cells")) > 10


def test_a_cell_keeps_the_figures_that_it_is_compared_by() -> None:
    evaluation = Evaluation(
        ap=1.0,
        ap50=2.0,
        ap75=3.0,
        per_class={"cat": 1.0},
        voc_ap50_11point=4.0,
        voc_ap50_area=5.0,
        images=6,
        annotations=7,
    )
    assert Figures.of(evaluation) == Figures(
        AP=1.0, AP50=2.0, AP75=3.0, per_class={"cat": 1.0}, images=6, annotations=7
    )
