"""Where a run's stages begin and end, and which boxes the first ones don't see."""

from dataclasses import replace

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.held_out import hold_out
from sparsedet.training.pseudo_labels import PseudoLabels, usable
from sparsedet.training.settings import load_config
from sparsedet.training.stages import stages

IMAGES = tuple(Image(number, f"{number}.png", 100, 100) for number in range(1, 101))
BOXES = tuple(
    Box(10 * image.id + k, image.id, 1, (10.0 * k, 0.0, 10.0 * k + 8, 8.0))
    for image in IMAGES
    for k in range(10)
)
DATASET = Dataset(IMAGES, BOXES, (Category(1, "cell"),))


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


def test_held_out_boxes_are_a_share_that_the_seed_chooses() -> None:
    kept, held_out = hold_out(DATASET, 0.2, seed=1)
    assert 0.16 < len(held_out) / len(BOXES) < 0.24
    assert [box for box in BOXES if box not in held_out] == list(kept.boxes)
    backwards = replace(DATASET, boxes=BOXES[::-1])
    assert list(hold_out(backwards, 0.2, seed=1)[1]) == held_out[::-1]
    assert list(hold_out(DATASET, 0.2, seed=2)[1]) != held_out
    assert hold_out(DATASET, 0.0, seed=1) == (DATASET, [])


def test_what_a_split_leaves_is_held_out_like_anything_else() -> None:
    """Both draw by seed, image and box; the same seed must not make the same choice."""
    sparse, _ = remove_boxes(DATASET, load_recipe("random").with_drop(0.5), 1)
    _, held_out = hold_out(sparse, 0.2, seed=1)
    assert 0.14 < len(held_out) / len(sparse.boxes) < 0.26


def test_no_box_is_held_out_where_none_would_be_left() -> None:
    few = DATASET.with_boxes(BOXES[:2])
    for seed in range(20):
        kept, held_out = hold_out(few, 0.9, seed)
        assert kept.boxes
        assert len(kept.boxes) + len(held_out) == 2


def test_crowd_regions_are_not_held_out() -> None:
    crowds = tuple(replace(box, iscrowd=True) for box in BOXES)
    assert hold_out(replace(DATASET, boxes=crowds), 0.9, seed=1)[1] == []


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ((), ("a", "b", "c")),
        (("LABELS",), ("", "ab", "c")),
        (("OBJECTS",), ("a", "", "bc")),
        (("LABELS", "OBJECTS"), ("", "", "abc")),
        (("IGNORED",), ("a", "b", "")),
    ],
)
def test_each_use_of_mined_boxes_can_be_switched_off(
    off: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    boxes = dict(zip("abc", BOXES, strict=False))
    rule = load_config("lite0_fpn", ["SPARSEDET.STAGED.OBJECTS", "True"]).SPARSEDET.STAGED
    for name in off:
        rule[name] = False
    found = PseudoLabels((boxes["a"],), (boxes["b"],), (boxes["c"],))
    result = usable(found, rule)
    assert (result.labels, result.objects, result.doubtful) == tuple(
        tuple(boxes[name] for name in names) for names in expected
    )
