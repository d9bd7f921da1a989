"""Short trainings of every method on every dataset, half of the boxes removed."""

import math
import time
from collections.abc import Callable

from sparsedet.config.training_config import METHODS, TrainingConfig, read_config
from sparsedet.errors import TrainingError
from sparsedet.run_folder import RunFolder
from sparsedet.runtime.resources import peak_memory
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.time_budget import measure_steps, with_iterations
from sparsedet.training.engine.train import run_training
from sparsedet.training.evaluation.average_precision import evaluate_run

from .record import Figures
from .resuming import start
from .setting import SEED, Data, OutOfTimeError, Setting, reset_peak_memory

DROP = 0.5
_MOST_SECONDS = 90.0
"""Of a training."""
_TRAINING_SHARE = 0.7
"""Share of the time per cell; the rest is for timing steps and evaluation."""
_QUICK_ITERATIONS = 4


def measure(setting: Setting, found: Figures, save: Callable[[], None], reserve: float) -> None:
    """Train the methods in turn, sharing the remaining time.

    Args:
        setting: the options.
        found: receives the figures of each training.
        save: called after each of them.
        reserve: seconds to leave for what comes after.
    """
    cells = [(data, method) for method in METHODS for data in setting.data]
    for number, (data, method) in enumerate(cells):
        share = (setting.deadline.left - reserve) / (len(cells) - number)
        if share <= (0 if setting.quick else 5.0):
            raise OutOfTimeError
        try:
            row = _trained(setting, data, method, min(share, _MOST_SECONDS))
        except TrainingError as error:
            row = {"failed": str(error)}
        found[f"{data.name}, {method}"] = row
        save()


def _trained(setting: Setting, data: Data, method: str, seconds: float) -> Figures:
    reset_peak_memory(setting.device)
    begin = time.monotonic()
    sparse, _ = remove_boxes(data.train, load_recipe("random").with_drop(DROP), SEED)
    own = Data(data.name, sparse, data.test, data.images)
    config = _configuration(setting, own, method, seconds)
    run = RunFolder(setting.scratch / f"{data.name}-{method}-{time.monotonic_ns()}")
    start(run, method, config, own, setting.device)
    seen: list[StageProgress] = []

    def listen(progress: StageProgress) -> None:
        seen.append(progress)
        setting.deadline.check()

    run_training(run, callbacks=Callbacks(on_progress=listen))
    trained = time.monotonic()
    result = evaluate_run(run, read_config(run.config), own.test, own.images, device=setting.device)
    losses = [progress.losses["total_loss"] for progress in seen]
    part = max(1, len(losses) // 5)
    return {
        # Not a number where nothing was learned at all.
        "AP": None if math.isnan(result.ap) else round(result.ap, 1),
        "AP50": None if math.isnan(result.ap50) else round(result.ap50, 1),
        "iterations": config.solver.max_iter,
        "seconds": trained - begin,
        "images/s": seen[-1].images_per_second,
        "loss at first": sum(losses[:part]) / part,
        "loss at the end": sum(losses[-part:]) / part,
        "peak memory, MiB": round(peak_memory(setting.device) / 2**20),
    }


def _configuration(setting: Setting, data: Data, method: str, seconds: float) -> TrainingConfig:
    """Return a training's configuration that fits the time."""
    config = setting.configuration(setting.full_speed)
    if setting.quick:
        config = config.with_values({"SPARSEDET.STAGED.MIN_ITER": 0})
        return with_iterations(config, _QUICK_ITERATIONS)
    begin = time.monotonic()
    minutes = seconds / 60
    times = measure_steps(
        config,
        data.train,
        data.images,
        method=method,
        seed=SEED,
        device=setting.device,
        minutes=minutes,
    )
    left = seconds - (time.monotonic() - begin)
    return with_iterations(config, times.iterations_in(_TRAINING_SHARE * left / 60))
