"""Trainings of so many minutes: iterations from the time of a step, the schedule stretched."""

import math
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsedet.annotations import read_image
from sparsedet.config.training_config import load_config
from sparsedet.errors import ConfigError
from sparsedet.modeling import inputs
from sparsedet.training.engine import time_budget
from sparsedet.training.engine.time_budget import (
    StepTime,
    in_minutes,
    measure_steps,
    with_iterations,
)
from tests.conftest import Scenes
from tests.training.short_runs import short_config


def test_iterations_take_the_minutes_that_minings_leave() -> None:
    staged = load_config("lite0_fpn").staged
    assert StepTime(step=0.5).iterations_in(10) == 1200
    assert StepTime(0.5, mining=60.0, staged=staged).iterations_in(10) == 960
    # A second mining, from 266 iterations on, would not fit, nor in the next line a first one.
    assert StepTime(0.5, mining=250.0, staged=staged).iterations_in(10) == 265
    assert StepTime(0.5, mining=900.0, staged=staged).iterations_in(10) == 144
    assert StepTime(0.5, mining=900.0, staged=staged).iterations_in(0.01) == 10
    assert StepTime(0.5).iterations_in(1e300) == 10**9


def test_images_are_loaded_once_where_they_fit_into_the_cache() -> None:
    assert StepTime(0.5, loading=2.0, loads=150).iterations_in(10) == 600
    assert StepTime(0.5, loading=2.0, loads=10**6).iterations_in(10) == 240


@pytest.mark.parametrize("cache", [0, 2048])
def test_slow_loading_is_part_of_a_step(
    scenes: Scenes, monkeypatch: pytest.MonkeyPatch, cache: int
) -> None:
    """A batch is of two images, and the clock is half a second ahead for each that was read."""
    read = 0

    def slowly(*given: Any) -> Any:
        nonlocal read
        read += 1
        return read_image(*given)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 0.5 * read)
    monkeypatch.setattr(time_budget, "time", clock)
    monkeypatch.setattr(inputs, "read_image", slowly)
    keys = ("DATALOADER.NUM_WORKERS", "0", "DATALOADER.CACHE_MIB", str(cache))
    times = measure_steps(
        short_config(800, *keys),
        scenes.dataset,
        scenes.images,
        method="plain",
        seed=1,
        device="cpu",
        minutes=0.001,
    )
    if cache:
        labelled = {box.image_id for box in scenes.dataset.boxes}
        assert times.loads * times.loading == pytest.approx(0.5 * len(labelled), rel=0.3)
        assert times.step < 1
    else:
        assert times.step >= 1
        assert times.loads == 0


def test_a_mining_that_takes_too_long_is_reported(
    scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = StepTime(0.5, mining=900.0, staged=load_config("lite0_fpn").staged)
    monkeypatch.setattr(time_budget, "measure_steps", lambda *_, **__: slow)
    said: list[str] = []
    given: dict[str, Any] = {"method": "staged", "seed": 1, "device": "cpu", "say": said.append}
    in_minutes(short_config(800), 10, scenes.dataset, scenes.images, **given)
    assert said == [
        "a step takes 0.50 s here: 144 iterations in 10 minutes",
        "a mining of all images takes 15 minutes, too long for more iterations; allow more "
        "minutes, or use the method augmented, which does not mine",
    ]


def test_a_batch_is_measured_that_the_run_takes(
    scenes: Scenes, caplog: pytest.LogCaptureFixture
) -> None:
    one = scenes.dataset.with_images(scenes.dataset.images[:1])
    measure_steps(
        short_config(800), one, scenes.images, method="plain", seed=1, device="cpu", minutes=0.001
    )
    assert "batches repeat images" not in caplog.text


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
    # Every image; a step sees two of half the size, with gradients.
    assert 0 < staged.mining < len(scenes.dataset.images) * staged.step * 5


def test_the_images_that_are_measured_may_be_unreadable(scenes: Scenes, tmp_path: Path) -> None:
    shutil.copytree(scenes.images, tmp_path / "images")
    for image in scenes.dataset.images[:3]:
        (tmp_path / "images" / image.file_name).write_bytes(b"cut off")
    times = measure_steps(
        short_config(800),
        scenes.dataset,
        tmp_path / "images",
        method="staged",
        seed=1,
        device="cpu",
        minutes=0.001,
    )
    assert times.mining > 0


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
    for minutes in (0, math.inf, math.nan):
        _refused(minutes, scenes)


def _refused(minutes: float, scenes: Scenes) -> None:
    with pytest.raises(ConfigError, match=f"--minutes {minutes:g}: expected a number above 0"):
        in_minutes(
            short_config(800),
            minutes,
            scenes.dataset,
            scenes.images,
            method="plain",
            seed=1,
            device="cpu",
            say=print,
        )
