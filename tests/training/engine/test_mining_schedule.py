"""Minings added to long trainings on few images."""

from pathlib import Path

import pytest

from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.errors import RunError
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.mining_schedule import Pace, mining_shares, with_fitting_minings
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
        (100_000, 118_287, [37_500, 68_750, 100_000]),
    ],
)
def test_minings_are_at_most_some_passes_apart(
    iterations: int, views: int, expected: list[int]
) -> None:
    pace = Pace(views / 4)
    fitting = with_fitting_minings(config(iterations), pace)
    assert bounds(fitting) == expected
    assert with_fitting_minings(fitting, pace).staged.mine_at == fitting.staged.mine_at


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        # 225 boxes of a class: as asked.
        (Pace(75, 0.75), [300, 550, 800]),
        # 180 and 330 boxes.
        (Pace(75, 0.6), [550, 800]),
        # None ever shows enough: mined once.
        (Pace(75, 0.1), [550, 800]),
        (Pace(75, 0.0), [550, 800]),
        # Ten passes: more iterations show nothing new.
        (Pace(30, 0.6), [300, 550, 800]),
    ],
)
def test_models_that_know_too_little_are_not_asked(pace: Pace, expected: list[int]) -> None:
    fitting = with_fitting_minings(config(800), pace)
    assert bounds(fitting) == expected
    assert with_fitting_minings(fitting, pace).staged.mine_at == fitting.staged.mine_at


def test_the_pace_is_that_of_the_boxes_of_a_class(scenes: Scenes) -> None:
    labels = [box.category_id for box in scenes.dataset.boxes if not box.iscrowd]
    views = len(scenes.dataset.images)
    pace = Pace.of(config(800), scenes.dataset, views)
    assert pace.pass_length == views / 4
    assert pace.boxes * pace.pass_length == pytest.approx(len(labels) / len(set(labels)))


@pytest.mark.parametrize(
    "keys", [("SPARSEDET.STAGED.MAX_PASSES", "0"), ("SPARSEDET.STAGED.MINE_AT", "()")]
)
def test_none_are_added_if_none_are_asked_for(keys: tuple[str, str]) -> None:
    asked = config(8000, *keys)
    assert with_fitting_minings(asked, Pace(19)) is asked


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
    times = StepTime(step=0.1, mining=20.0, staged=staged, pace=Pace(10))
    assert times.minings(800) == 2
    assert times.minings(3000) == 8
    assert times.seconds(3000) == pytest.approx(300 + 8 * 20)
    assert len(mining_shares(staged, 3000, Pace(10))) == 8
