"""Trainings limited to minutes: the time of a step on this machine gives the iterations.

They are chosen once, before a run starts, and written to its `config.yaml`, so a resumed run does
not measure again.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from statistics import median
from typing import Any

from sparsedet.annotations import Dataset, Image
from sparsedet.config.sections import StagedConfig
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import ConfigError
from sparsedet.mining.detect import detect
from sparsedet.modeling.inputs import PixelCache
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import UnreadableImages
from sparsedet.training.data.loader import batches, decoded_bytes, lost_workers_reported
from sparsedet.training.data.samples import training_images, usable_feedback, without_versions
from sparsedet.training.engine.mining_schedule import mining_shares
from sparsedet.training.engine.steps import stages
from sparsedet.training.engine.train import with_bounded_batch
from sparsedet.training.engine.trainer import Trainer, check_model
from sparsedet.wording import counted

_UNTIMED = 2
"""First steps, in which memory is allocated and algorithms are chosen."""
_TIMED = 10
_LEAST_TIMED = 3
"""Timed steps if they take more than `_SHARE` of the minutes."""
_SHARE = 0.1
_LEAST = 10
"""Minimum number of iterations."""
_WARMUP_SHARE = 0.1
"""Maximum share of the iterations that the warm-up takes."""
_TIMED_IMAGES = 3
_MOST = 10**9
"""Maximum number of iterations."""
_MOST_UNUSED = 0.25
"""Share of the minutes that may stay unused without a message, because another mining would not
fit."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Times of a training's parts on this machine."""

    step: float
    """Seconds of an iteration."""
    loading: float = 0.0
    """Seconds that an iteration also takes until all images are in the cache."""
    loads: int = 0
    """Number of these iterations."""
    mining: float = 0.0
    """Seconds of one mining of all images."""
    staged: StagedConfig | None = None
    """When the training mines; None: never."""
    pass_length: float = inf
    """Iterations of a pass over all images."""

    def minings(self, iterations: int) -> int:
        """Return the number of minings in a training of this length."""
        if self.staged is None:
            return 0
        shares = mining_shares(self.staged, iterations, self.pass_length)
        return len(stages(self.staged.model_copy(update={"mine_at": shares}), iterations)) - 1

    def seconds(self, iterations: int) -> float:
        """Return the time of a training of this length, minings included."""
        loading = min(iterations, self.loads) * self.loading
        return iterations * self.step + loading + self.minings(iterations) * self.mining

    def iterations_in(self, minutes: float) -> int:
        """Return the iterations that fit into the minutes, minings included."""
        possible = range(int(min(_MOST, 60 * minutes / self.step)) + 1)
        return max(_LEAST, bisect_right(possible, 60 * minutes, key=self.seconds) - 1)


def in_minutes(
    config: TrainingConfig,
    minutes: float,
    dataset: Dataset,
    images: Path,
    *,
    method: str,
    seed: int,
    device: str,
    say: Callable[[str], None],
) -> TrainingConfig:
    """Return the configuration of a training that takes about `minutes` on this machine.

    Args:
        config: of any length; its schedule is stretched.
        minutes: of training and of minings between its stages, more than 0.
        dataset: what it is trained on.
        images: the folder of its images.
        method: the training method.
        seed: of the run.
        device: cpu or cuda.
        say: receives what was measured.

    Raises:
        SparseDetError: as `measure_steps`.
    """
    if not 0 < minutes < inf:
        raise ConfigError(f"--minutes {minutes:g}: expected a number above 0")
    times = measure_steps(
        config, dataset, images, method=method, seed=seed, device=device, minutes=minutes
    )
    iterations = times.iterations_in(minutes)
    steps = counted(iterations, "iteration")
    span = "1 minute" if minutes == 1 else f"{minutes:g} minutes"
    say(f"a step takes {times.step:.2f} s here: {steps} in {span}")
    if times.seconds(iterations) < (1 - _MOST_UNUSED) * 60 * minutes:
        say(
            f"a mining of all images takes {times.mining / 60:.2g} minutes, too long for more "
            "iterations; allow more minutes, or use the method augmented, which does not mine"
        )
    return with_iterations(config, iterations)


def measure_steps(
    config: TrainingConfig,
    dataset: Dataset,
    images: Path,
    *,
    method: str,
    seed: int,
    device: str,
    minutes: float,
) -> StepTime:
    """Time some training steps and discard their result.

    Args:
        config: of the run that is about to start.
        dataset: what it is trained on.
        images: the folder of its images.
        method: the training method.
        seed: of the run.
        device: cpu or cuda.
        minutes: time limit of the training; measuring takes a small share of it.

    Raises:
        ConfigError: if several processes share the training, or the configuration is invalid.
        AnnotationError: if the images can't be decoded.
    """
    if processes.ranks() > 1:
        raise ConfigError(
            "--minutes: a step is measured in one process, not in several; set SOLVER.MAX_ITER"
        )
    # As the run does: a step of fewer images takes less time.
    config = with_bounded_batch(config, dataset)
    config = config.prepared(method=method, seed=seed, classes=len(dataset.categories))
    config = config.with_values({"MODEL.DEVICE": device})
    classes = [category.name for category in dataset.categories]
    check_model(config, classes)
    dataset = usable_feedback(without_versions(dataset), config.feedback)
    cache = PixelCache(config.loader.cache_mib * 2**20)
    trainer = Trainer(config, seed)
    trainer.start(None, 0, classes)
    views = training_images(
        dataset,
        images,
        keep_unlabelled=not config.loader.filter_empty_annotations,
        tile=config.input.tile,
    )
    seconds: list[float] = []
    waits: list[float] = []
    begin = end = time.monotonic()
    with lost_workers_reported():
        for batch in batches(views, config, seed=seed, start=0, end=_UNTIMED + _TIMED, cache=cache):
            start = time.monotonic()
            trainer.step(batch)
            waits.append(start - end)
            end = time.monotonic()
            seconds.append(end - start)
            spent = time.monotonic() - begin > _SHARE * 60 * minutes
            if spent and len(seconds) >= _UNTIMED + _LEAST_TIMED:
                break
    step, decoded = median(seconds[_UNTIMED:]), decoded_bytes(views, config.input)
    if decoded > cache.limit:
        # Images are decoded again and again.
        times = StepTime(step + median(waits[_UNTIMED:]))
    else:
        # In other processes, each with a cache of its own, all are decoded at least once.
        share = cache.bytes / decoded or len(waits) * config.solver.batch_size / views.files
        times = StepTime(step, sum(waits) / len(waits), ceil(len(waits) / share))
    if method != "staged":
        return times
    per_image = _detection_seconds(trainer, config, dataset.images, images)
    return replace(
        times,
        mining=len(dataset.images) * per_image,
        staged=config.staged,
        pass_length=len(views) / config.solver.batch_size,
    )


def _detection_seconds(
    trainer: Trainer, config: TrainingConfig, images: Sequence[Image], folder: Path
) -> float:
    """Return the seconds per image of mining."""
    ends = [time.monotonic()]
    ids = range(1, config.node.MODEL.ROI_HEADS.NUM_CLASSES + 1)
    # The limit is for all images: the first ones may be unreadable.
    unreadable = UnreadableImages(config.loader.max_unreadable, len(images))
    some = images[:_TIMED_IMAGES]
    for _ in detect(trainer.model.eval(), config, some, folder, ids, unreadable=unreadable):
        ends.append(time.monotonic())
    # The first one allocates memory.
    return (ends[-1] - ends[min(1, len(ends) - 2)]) / max(1, len(ends) - 2)


def with_iterations(config: TrainingConfig, iterations: int) -> TrainingConfig:
    """Return a configuration with `iterations`, its schedule stretched to them."""
    node = config.node
    stretch = iterations / config.solver.max_iter
    # The rate falls within the training, and at different iterations.
    steps = sorted({round(stretch * step) for step in node.SOLVER.STEPS})
    values: dict[str, Any] = {
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.WARMUP_ITERS": min(
            node.SOLVER.WARMUP_ITERS, max(1, int(_WARMUP_SHARE * iterations))
        ),
        "SOLVER.STEPS": tuple(step for step in steps if 0 < step < iterations),
    }
    mining_start = node.SPARSEDET.PSEUDO_POSITIVES.START_ITER
    if mining_start > 0:
        values["SPARSEDET.PSEUDO_POSITIVES.START_ITER"] = round(stretch * mining_start)
    return config.with_values(values)
