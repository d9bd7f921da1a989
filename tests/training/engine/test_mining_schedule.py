"""Minings added to long trainings on few images."""

from pathlib import Path

import pytest

from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.errors import RunError
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.mining_schedule import mining_shares, with_regular_mining
from sparsedet.training.engine.steps import stages
from sparsedet.training.engine.time_budget import StepTime
from sparsedet.training.engine.train import check_same_run, start_run
from tests.conftest import Scenes


def config(iterations: int, *keys: str) -> TrainingConfig:
    return load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(iterations), *keys])


def bounds(configured: TrainingConfig) -> list[int]:
    return [stage.end for stage in stages(configured.staged, configured.solver.max_iter)]


@pytest.mark.parametrize(
    ("iterations", "views", "expected"),
    [
        # 11 passes in all: as asked.
        (800, 292, [300, 550, 800]),
        # On few images, 300 iterations are many passes, but a model needs them.
        (800, 10, [300, 550, 800]),
        # 292 images: a pass takes 73 iterations, 16 take 1,168.
        (3000, 292, [1125, 2062, 3000]),
        (4000, 292, [750, 1500, 2125, 2750, 4000]),
        (2757, 75, [258, 517, 775, 1034, 1321, 1608, 1895, 2757]),
        # Exactly 300 iterations apart: shares are rounded.
        (5600, 75, [*range(300, 2101, 300), 2392, 2683, 2975, 3267, 3558, 3850, 5600]),
        (100_000, 118_287, [37_500, 68_750, 100_000]),
    ],
)
def test_minings_are_at_most_some_passes_apart(
    iterations: int, views: int, expected: list[int]
) -> None:
    regular = with_regular_mining(config(iterations), views)
    assert bounds(regular) == expected
    assert with_regular_mining(regular, views) is regular


@pytest.mark.parametrize(
    "keys", [("SPARSEDET.STAGED.MAX_PASSES", "0"), ("SPARSEDET.STAGED.MINE_AT", "()")]
)
def test_none_are_added_if_none_are_asked_for(keys: tuple[str, str]) -> None:
    asked = config(8000, *keys)
    assert with_regular_mining(asked, 75) is asked


def test_a_run_keeps_its_minings(scenes: Scenes, tmp_path: Path) -> None:
    """They are in its configuration, and the options that it was started with still fit it."""
    long = config(2000)
    run = RunFolder(tmp_path / "run")
    start_run(
        long,
        run,
        scenes.dataset,
        scenes.images,
        source=Path("train.json"),
        method="staged",
        seed=1,
        device="cpu",
    )
    assert len(read_config(run.config).staged.mine_at) == 6
    classes = len(scenes.dataset.categories)

    def check(configured: TrainingConfig) -> None:
        prepared = configured.prepared(method="staged", seed=1, classes=classes)
        check_same_run(run, method=None, seed=None, dataset=None, config=prepared)

    check(long)
    with pytest.raises(RunError, match="MINE_AT"):
        check(config(2000, "SPARSEDET.STAGED.MINE_AT", "(0.5,)"))


def test_their_time_counts_in_minutes() -> None:
    staged = config(800).staged
    times = StepTime(step=0.1, mining=20.0, staged=staged, pass_length=10)
    assert times.minings(800) == 2
    assert times.minings(3000) == 8
    assert times.seconds(3000) == pytest.approx(300 + 8 * 20)
    assert len(mining_shares(staged, 3000, 10)) == 8
