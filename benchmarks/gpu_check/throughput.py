"""Images per second of training steps, by memory layout, precision and compilation."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import torch

from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import TrainingError
from sparsedet.runtime.resources import peak_memory
from sparsedet.training.data.loader import Batch, batches
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.trainer import Trainer

from .record import Figures
from .setting import SEED, Data, Setting, reset_peak_memory

EAGER = "eager fp32"
_AMP, _LAST, _COMPILE = "SOLVER.AMP.ENABLED", "MODEL.CHANNELS_LAST", "MODEL.COMPILE"
VARIANTS: Mapping[str, Mapping[str, object]] = {
    EAGER: {_AMP: False, _LAST: False},
    "bf16": {_AMP: True, _LAST: False},
    "channels_last": {_AMP: False, _LAST: True},
    "bf16, channels_last": {_AMP: True, _LAST: True},
    # Those that take long to compile come last.
    "compiled": {_AMP: False, _LAST: False, _COMPILE: True},
    "bf16, channels_last, compiled": {_AMP: True, _LAST: True, _COMPILE: True},
}
_BATCHES = 4
"""Batches, loaded in advance; all of the largest size, so that it is compiled once."""
_SECONDS = 8.0
"""Duration of a measurement, and at least ..."""
_LEAST_STEPS = 8
_COMPILING = 60.0
"""Minimum remaining seconds for starting a compiled variant."""


def measure(setting: Setting, data: Data, found: Figures, save: Callable[[], None]) -> None:
    """Measure each variant, as time permits; eager fp32 is torch's default, with TF32.

    Args:
        setting: the options.
        data: to train on, by `plain`.
        found: receives the figures of each variant.
        save: called after each of them.
    """
    own = _configuration(setting, data, VARIANTS[EAGER])
    images = training_images(data.train, data.images, keep_unlabelled=False)
    loaded = list(islice(batches(images, own, seed=SEED, start=0, end=_BATCHES), _BATCHES))
    for name, changes in VARIANTS.items():
        compiles = _COMPILE in changes
        if setting.device == "cpu" and (compiles or changes[_AMP]):
            # That takes minutes, where the script is only tested.
            continue
        setting.deadline.check(_COMPILING if compiles else 5.0)
        try:
            row = _measured(_configuration(setting, data, changes), loaded, setting)
        except TrainingError as error:
            # Random weights may end in losses that are not finite; so may too little memory.
            row = {"failed": str(error)}
        if (eager := found.get(EAGER)) and "images/s" in row and "images/s" in eager:
            row["ratio"] = row["images/s"] / eager["images/s"]
        found[name] = row
        save()


def _configuration(setting: Setting, data: Data, changes: Mapping[str, object]) -> TrainingConfig:
    # The warm-up keeps the rate low, so that random weights stay finite.
    largest = max(setting.configuration().input.min_size_train)
    same = {"SOLVER.MAX_ITER": 1_000_000, "INPUT.MIN_SIZE_TRAIN": (largest,)}
    config = setting.configuration({**same, **changes})
    config = config.prepared(method="plain", seed=SEED, classes=len(data.train.categories))
    return config.with_values({"MODEL.DEVICE": setting.device})


def _measured(config: TrainingConfig, loaded: Sequence[Batch], setting: Setting) -> Figures:
    reset_peak_memory(setting.device)
    trainer = Trainer(config, SEED)
    trainer.start(None, 0)
    before = time.monotonic()
    # Twice: images of other shapes than the first ones' become variables of a kernel.
    for batch in loaded if setting.quick else [*loaded, *loaded]:
        trainer.step(batch)
    warm = time.monotonic()
    steps, seconds, least = 0, 0.0, 3 if setting.quick else _LEAST_STEPS
    while steps < least or (seconds < _SECONDS and not setting.quick):
        setting.deadline.check()
        # The losses of a step are numbers on the CPU: it is over when it returns.
        trainer.step(loaded[steps % len(loaded)])
        steps += 1
        seconds = time.monotonic() - warm
    images = steps * config.solver.batch_size
    return {
        "images/s": images / seconds,
        "ratio": 1.0,
        "step, ms": 1000 * seconds / steps,
        "peak memory, MiB": round(peak_memory(setting.device) / 2**20),
        "warm-up, s": warm - before,
        "compiled parts": _compiled(trainer.model),
    }


def _compiled(model: torch.nn.Module) -> int:
    """Return the number of compiled parts of a model."""
    forwards = [vars(module).get("forward") for module in model.modules()]
    return sum(getattr(forward, "_compiled", None) is not None for forward in forwards)
