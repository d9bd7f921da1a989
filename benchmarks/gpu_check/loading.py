"""Time that a training at full speed waits for images."""

import time
from collections.abc import Callable

from sparsedet.runtime.resources import usable_cores
from sparsedet.training.data.loader import batches, lost_workers_reported
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.trainer import Trainer

from .record import Figures
from .setting import SEED, Data, Setting

TARGET = 0.05
"""Maximum share of the time that the device waits."""
_SECONDS = 15.0
_LEAST_STEPS, _MOST_STEPS = 10, 2000
_BEFORE = 5
"""Warm-up steps: processes start and memory is allocated."""


def measure(setting: Setting, data: Data, found: Figures, save: Callable[[], None]) -> None:
    """Measure `staged`, which loads the most, adding loader processes until the target is met.

    Args:
        setting: the options.
        data: to train on.
        found: receives the figures of each number of processes.
        save: called after each of them.
    """
    configured = setting.configuration().loader.num_workers
    counts = [configured, *(n for n in (2, 4, 8, 12, 16) if configured < n <= usable_cores())]
    for workers in counts[:1] if setting.quick else counts:
        setting.deadline.check(5.0)
        row = _waiting(setting, data, workers)
        found["as many as help" if workers < 0 else f"{workers} processes"] = row
        save()
        if row["waiting"] <= TARGET:
            break


def _waiting(setting: Setting, data: Data, workers: int) -> Figures:
    changes = {
        "SOLVER.MAX_ITER": 1_000_000,
        "DATALOADER.NUM_WORKERS": workers,
        # Every image is decoded every time, as of a set that fits in no memory.
        "DATALOADER.CACHE_MIB": 0,
        **setting.full_speed,
    }
    config = setting.configuration(changes)
    config = config.prepared(method="staged", seed=SEED, classes=len(data.train.categories))
    config = config.with_values({"MODEL.DEVICE": setting.device})
    images = training_images(data.train, data.images, keep_unlabelled=False)
    trainer = Trainer(config, SEED)
    trainer.start(None, 0)
    waited = stepped = 0.0
    steps = 0
    least, before = (3, 1) if setting.quick else (_LEAST_STEPS, _BEFORE)
    with lost_workers_reported():
        loader = iter(batches(images, config, seed=SEED, start=0, end=_MOST_STEPS))
        for number in range(_MOST_STEPS):
            begin = time.monotonic()
            batch = next(loader)
            loaded = time.monotonic()
            # Its losses are numbers on the CPU: the device is done when it returns.
            trainer.step(batch)
            end = time.monotonic()
            if number >= before:
                waited += loaded - begin
                stepped += end - loaded
                steps += 1
            enough = waited + stepped >= _SECONDS or setting.quick
            if (steps >= least and enough) or setting.deadline.left < 0:
                break
    total = max(waited + stepped, 1e-9)
    return {
        "waiting": waited / total,
        "images/s": steps * config.solver.batch_size / total,
        "steps": steps,
        "target met": waited / total <= TARGET,
    }
