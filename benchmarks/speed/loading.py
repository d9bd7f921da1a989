"""The seconds of loading a batch, from the cache and decoded each time."""

import time

from sparsedet.training.data.loader import batches

from .data import SpeedData
from .ratio import turns
from .trainer import SEED, configuration

CACHED = "cached"
DECODED = "decoded each time"


def loading_times(data: SpeedData, rounds: int) -> dict[str, list[float]]:
    """Return the seconds per batch of `plain` by round, when every image has been loaded once."""
    images = data.training_images(configuration("plain", len(data.train.categories)))
    caches = {CACHED: (), DECODED: ("DATALOADER.CACHE_MIB", "0")}
    loaders = {}
    for name, overrides in caches.items():
        cfg = configuration("plain", len(data.train.categories), overrides)
        epoch = -(-len(images) // cfg.SOLVER.IMS_PER_BATCH) + 1
        loaders[name] = batches(images, cfg, seed=SEED, start=0, end=epoch + rounds)
        for _ in range(epoch):
            next(loaders[name])
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(rounds):
        for name in turns(list(loaders), number):
            start = time.perf_counter()
            next(loaders[name])
            seconds[name].append(time.perf_counter() - start)
    return seconds
