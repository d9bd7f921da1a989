"""Seconds to detect on an image and to load a batch, with variants in turns."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.structures import Instances
from torch import nn

from sparsedet.annotations import read_image
from sparsedet.config.training_config import TrainingConfig
from sparsedet.mining.detect import detect
from sparsedet.modeling import checkpoint
from sparsedet.training.data.loader import batches

from .timed_training import SEED, SpeedData, TimedTraining, configuration, turns

CACHED = "cached"
DECODED = "decoded each time"
_UNCOUNTED = 3


@dataclass(frozen=True)
class InferenceTimes:
    """Every model's seconds per image, without decoding."""

    seconds: Mapping[str, list[float]]
    repeatable: Mapping[str, bool]
    """Whether each image gave exactly the same detections twice."""
    detections: Mapping[str, float]
    """Number of detections per image."""


def inference_model(trainer: TimedTraining, **keys: Any) -> tuple[nn.Module, TrainingConfig]:
    """Return a copy of the trained model for inference, with these keys of `MODEL` changed."""
    config = trainer.config.with_values({f"MODEL.{key}": value for key, value in keys.items()})
    model = checkpoint.build(config.node)
    model.load_state_dict(trainer.model.state_dict())
    return model.eval(), config


def inference_times(
    models: Mapping[str, tuple[nn.Module, TrainingConfig]],
    data: SpeedData,
    count: int,
    say: Callable[[str], None],
) -> InferenceTimes:
    """Detect twice on `count` test images with each of the models."""
    images = data.test.images[:count]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    repeatable = dict.fromkeys(models, True)
    found: dict[str, list[int]] = {name: [] for name in models}
    for number in range(-_UNCOUNTED, len(images)):
        say(f"inference, image {number + 1} of {len(images)}")
        pixels = read_image(images[max(number, 0)], data.images)
        first: dict[str, Instances] = {}
        for again in (False, True):
            for name in turns(list(models), number + _UNCOUNTED):
                # Other seeds: anything that depends on random numbers differs.
                torch.manual_seed(again)
                model, config = models[name]
                start = time.perf_counter()
                with torch.inference_mode():
                    detections = model([config.input.at_test().of(pixels)])[0]["instances"]
                taken = time.perf_counter() - start
                if number < 0:
                    continue
                seconds[name].append(taken)
                if again:
                    repeatable[name] &= _equal(first[name], detections)
                else:
                    first[name] = detections
                    found[name].append(len(detections))
    means = {name: float(np.mean(counts)) for name, counts in found.items()}
    return InferenceTimes(seconds, repeatable, means)


def mining_seconds(model: nn.Module, config: TrainingConfig, data: SpeedData, count: int) -> float:
    """Return the seconds of mining per image, including decoding."""
    images = data.train.images[:count]
    ids = [category.id for category in data.train.categories]
    start = time.perf_counter()
    list(detect(model, config, images, data.images, ids))
    return (time.perf_counter() - start) / len(images)


def _equal(first: Instances, second: Instances) -> bool:
    return (
        torch.equal(first.pred_boxes.tensor, second.pred_boxes.tensor)
        and torch.equal(first.scores, second.scores)
        and torch.equal(first.pred_classes, second.pred_classes)
    )


def loading_times(data: SpeedData, rounds: int) -> dict[str, list[float]]:
    """Return the seconds per batch of `plain` by round, after every image was loaded once."""
    images = data.training_images(configuration("plain", len(data.train.categories)))
    caches = {CACHED: (), DECODED: ("DATALOADER.CACHE_MIB", "0")}
    loaders = {}
    for name, overrides in caches.items():
        config = configuration("plain", len(data.train.categories), overrides)
        epoch = -(-len(images) // config.solver.batch_size) + 1
        loaders[name] = batches(images, config, seed=SEED, start=0, end=epoch + rounds)
        for _ in range(epoch):
            next(loaders[name])
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(rounds):
        for name in turns(list(loaders), number):
            start = time.perf_counter()
            next(loaders[name])
            seconds[name].append(time.perf_counter() - start)
    return seconds
