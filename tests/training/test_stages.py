"""Where a run's stages begin and end, and what becomes of the boxes mined between them."""

import pytest

from sparsedet.annotations import Box
from sparsedet.training.pseudo_labels import PseudoLabels, usable
from sparsedet.training.settings import load_config
from sparsedet.training.stages import stages


@pytest.mark.parametrize(
    ("iterations", "mine_at", "expected"),
    [
        (800, (0.375, 0.6875), [(0, 300), (300, 550), (550, 800)]),
        (800, (0.5,), [(0, 400), (400, 800)]),
        (800, (), [(0, 800)]),
        # Nothing is mined before iteration 100.
        (160, (0.375, 0.6875), [(0, 110), (110, 160)]),
        (120, (0.375, 0.6875), [(0, 120)]),
        (1, (0.375, 0.6875), [(0, 1)]),
    ],
)
def test_stages_part_the_iterations(
    iterations: int, mine_at: tuple[float, ...], expected: list[tuple[int, int]]
) -> None:
    cfg = load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(iterations)])
    cfg.SPARSEDET.STAGED.MINE_AT = mine_at
    parts = stages(cfg)
    assert [(stage.start, stage.end) for stage in parts] == expected
    assert [stage.name for stage in parts] == [f"stage{k + 1}" for k in range(len(expected))]
    assert [stage.previous for stage in parts] == [None, *(stage.name for stage in parts[:-1])]


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ((), ("a", "b")),
        (("LABELS",), ("", "ab")),
        (("IGNORED",), ("a", "")),
        (("LABELS", "IGNORED"), ("", "")),
    ],
)
def test_each_use_of_mined_boxes_can_be_switched_off(
    off: tuple[str, ...], expected: tuple[str, str]
) -> None:
    boxes = {name: Box(k, 1, 1, (0, 0, 8, 8)) for k, name in enumerate("ab")}
    rule = load_config("lite0_fpn").SPARSEDET.STAGED
    for name in off:
        rule[name] = False
    result = usable(PseudoLabels((boxes["a"],), (boxes["b"],)), rule)
    assert (result.labels, result.doubtful) == tuple(
        tuple(boxes[name] for name in names) for names in expected
    )
