"""The seconds of detecting, models taking turns image by image; and whether it repeats itself."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torch import nn

from sparsedet.annotations import read_image
from sparsedet.mining.detect import detect
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import inference_input

from .data import SpeedData
from .ratio import turns
from .trainer import TimedTraining

_UNCOUNTED = 3


@dataclass(frozen=True)
class InferenceTimes:
    """Of every model, the seconds per image; decoding not included."""

    seconds: Mapping[str, list[float]]
    repeatable: Mapping[str, bool]
    """Whether each image gave exactly the same detections twice."""
    detections: Mapping[str, float]
    """Per image."""


def inference_model(trainer: TimedTraining, **keys: Any) -> tuple[nn.Module, CfgNode]:
    """Return a copy of what was trained, ready to detect, with `MODEL` keys changed."""
    cfg = trainer.cfg.clone()
    cfg.MODEL.update(keys)
    model = checkpoint.build(cfg)
    model.load_state_dict(trainer.model.state_dict())
    return model.eval(), cfg


def inference_times(
    models: Mapping[str, tuple[nn.Module, CfgNode]],
    data: SpeedData,
    count: int,
    say: Callable[[str], None],
) -> InferenceTimes:
    """Detect twice on `count` test images by each of the models."""
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
                # What is drawn at random, if anything is, differs.
                torch.manual_seed(again)
                model, cfg = models[name]
                start = time.perf_counter()
                with torch.inference_mode():
                    detections = model([inference_input(pixels, cfg)])[0]["instances"]
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


def mining_seconds(model: nn.Module, cfg: CfgNode, data: SpeedData, count: int) -> float:
    """Return the seconds that mining takes per image, decoding included."""
    images = data.train.images[:count]
    ids = [category.id for category in data.train.categories]
    start = time.perf_counter()
    list(detect(model, cfg, images, data.images, ids))
    return (time.perf_counter() - start) / len(images)


def _equal(first: Instances, second: Instances) -> bool:
    return (
        torch.equal(first.pred_boxes.tensor, second.pred_boxes.tensor)
        and torch.equal(first.scores, second.scores)
        and torch.equal(first.pred_classes, second.pred_classes)
    )
