"""Trainings of so many minutes: iterations from the time of a step, the schedule stretched."""

import pytest

from sparsedet.config.training_config import load_config
from sparsedet.errors import ConfigError
from sparsedet.training.engine.time_budget import (
    StepTime,
    in_minutes,
    measure_steps,
    with_iterations,
)
from tests.conftest import Scenes
from tests.training.short_runs import short_config


def test_iterations_take_the_minutes_that_mining_leaves() -> None:
    assert StepTime(step=0.5, mining=0.0).iterations_in(10) == 1200
    assert StepTime(step=0.5, mining=60.0).iterations_in(10) == 1080
    # Mining alone takes longer.
    assert StepTime(step=0.5, mining=900.0).iterations_in(10) == 10


def test_the_schedule_is_stretched() -> None:
    config = with_iterations(load_config("sparsedet_r101_fpn_voc"), 1800)
    solver = config.node.SOLVER
    assert config.solver.max_iter == 1800
    assert tuple(solver.STEPS) == (1200, 1600)
    # As long as in 18,000 iterations, which is less than a tenth.
    assert solver.WARMUP_ITERS == 100
    assert config.node.SPARSEDET.PSEUDO_POSITIVES.START_ITER == 900
    # Of the last of these steps, 3.7, nothing would be left.
    assert tuple(with_iterations(load_config("r50_fpn"), 4).node.SOLVER.STEPS) == (3,)
    short = with_iterations(load_config("lite0_fpn"), 100)
    assert short.node.SOLVER.WARMUP_ITERS == 10
    # Half of the iterations, whatever their number.
    assert short.node.SPARSEDET.PSEUDO_POSITIVES.START_ITER == -1


def test_steps_and_minings_are_measured(scenes: Scenes) -> None:
    def measured(method: str) -> StepTime:
        return measure_steps(
            short_config(800),
            scenes.dataset,
            scenes.images,
            method=method,
            seed=1,
            device="cpu",
            minutes=0.01,
        )

    staged, plain = measured("staged"), measured("plain")
    assert plain.step > 0
    assert plain.mining == 0
    # Every image twice; a step sees two of half the size, with gradients.
    assert 0 < staged.mining < 2 * len(scenes.dataset.images) * staged.step * 5


def test_what_was_measured_is_said(scenes: Scenes) -> None:
    said: list[str] = []
    config = in_minutes(
        short_config(800),
        0.001,
        scenes.dataset,
        scenes.images,
        method="plain",
        seed=1,
        device="cpu",
        say=said.append,
    )
    assert config.solver.max_iter == 10
    (line,) = said
    assert line.startswith("a step takes ")
    assert line.endswith(" s here: 10 iterations in 0.001 minutes")
    with pytest.raises(ConfigError, match="--minutes 0: expected more than 0"):
        in_minutes(
            config,
            0,
            scenes.dataset,
            scenes.images,
            method="plain",
            seed=1,
            device="cpu",
            say=said.append,
        )
