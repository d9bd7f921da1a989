"""The planned cells."""

from dataclasses import replace

import pytest

from benchmarks.accuracy.plan import ABLATIONS, PLANS, Ablation, cells
from benchmarks.accuracy.training import configuration
from tests.benchmarks.accuracy.records import PLAN, cell, variant


def test_the_most_telling_cells_come_first() -> None:
    planned = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    seen = [(one.recipe, one.drop, one.method, one.variant != "", one.seed) for one in planned]
    assert seen[:8] == [
        ("random", 0.0, "plain", False, 1),
        ("random", 0.0, "augmented", False, 1),
        ("random", 0.0, "staged", False, 1),
        ("random", 0.5, "plain", False, 1),
        ("random", 0.5, "augmented", False, 1),
        ("random", 0.5, "staged", False, 1),
        ("random", 0.0, "end-to-end", False, 1),
        ("random", 0.5, "end-to-end", False, 1),
    ]
    assert [seed for *_, seed in seen[8:20]] == [2] * 6 + [3] * 6
    assert seen[20:22] == [
        ("extreme", None, "plain", False, 1),
        ("extreme", None, "staged", False, 1),
    ]
    ablations = seen[22:]
    assert ablations == [
        ("random", 0.5, "staged", True, seed) for seed in (1, 2) for _ in ABLATIONS
    ]
    assert len({one.key for one in planned}) == len(planned)


def test_more_seeds_are_of_all_boxes() -> None:
    fewer = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    more = cells("cells", replace(PLAN, more_seeds=(7, 8)), iterations=8, config="lite0_fpn")
    assert [(one.drop, one.method, one.seed) for one in more if one not in fewer] == [
        (0.0, method, seed) for seed in (7, 8) for method in ("plain", "staged")
    ]


@pytest.mark.parametrize("name", PLANS)
def test_every_planned_cell_has_its_counterparts(name: str) -> None:
    planned = cells(name, PLANS[name], iterations=8, config="lite0_fpn")
    assert {configuration(one).solver.max_iter for one in planned} == {8}
    staged = [one for one in planned if one.method == "staged"]
    for one in staged:
        as_it_is = one.model_copy(update={"variant": "", "overrides": ()})
        assert as_it_is in planned
        assert as_it_is.model_copy(update={"method": "plain"}) in planned


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_every_ablation_changes_the_configuration(ablation: Ablation) -> None:
    changed, as_it_is = variant(ablation.name, 1), cell("staged")
    assert configuration(changed) != configuration(as_it_is)
