"""Settings of all parts of the check: device, data, configuration, time limit."""

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sparsedet.annotations import Dataset, check_images, read_coco
from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.errors import AnnotationError
from sparsedet.simulation.scenes import make_scenes

SEED = 1
SCENES = 16
RANDOM_RESNET = {
    # Frozen norms would keep the statistics of nothing.
    "MODEL.RESNETS.NORM": "GN",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.FPN.NORM": "GN",
}
QUICK = {
    "INPUT.MIN_SIZE_TRAIN": (96,),
    "INPUT.MAX_SIZE_TRAIN": 128,
    "INPUT.MIN_SIZE_TEST": 96,
    "INPUT.MAX_SIZE_TEST": 128,
    "SOLVER.IMS_PER_BATCH": 2,
    "DATALOADER.NUM_WORKERS": 1,
}


class CheckFailed(Exception):
    """A check failed; the message says why."""


class OutOfTimeError(Exception):
    """The time limit is reached."""


class Deadline:
    """The time limit of the check."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Remaining seconds; negative after the end."""
        return self._end - time.monotonic()

    def check(self, needed: float = 0.0) -> None:
        """Raise `OutOfTimeError` unless more than `needed` seconds are left."""
        if self.left <= needed:
            raise OutOfTimeError


@dataclass(frozen=True)
class Data:
    """Complete annotations for training and testing."""

    name: str
    train: Dataset
    test: Dataset
    images: Path

    @classmethod
    def read(cls, folder: Path) -> "Data":
        """Read a folder with `train.json`, `test.json` and `images/`.

        Raises:
            AnnotationError: when something is missing or broken, naming it.
        """
        if not folder.is_dir():
            raise AnnotationError(f"{folder}: no such folder")
        train, test = (read_coco(folder / f"{part}.json") for part in ("train", "test"))
        for dataset in (train, test):
            check_images(dataset, folder / "images")
        return cls(folder.resolve().name, train, test, folder / "images")


@dataclass(frozen=True)
class Setting:
    """The options of the check, and its data."""

    device: str
    config: str
    weights: str
    """A file; "": those of a package, or random ones."""
    quick: bool
    deadline: Deadline
    scratch: Path
    data: Sequence[Data] = field(default_factory=list)

    def scenes(self) -> Data:
        """Return generated scenes, the same ones for training and testing."""
        images = self.scratch / "scenes"
        dataset = make_scenes(SCENES, images, seed=SEED)
        return Data("scenes", dataset, dataset, images)

    def configuration(self, changes: Mapping[str, object] | None = None) -> TrainingConfig:
        """Return the configuration to measure, with some keys changed."""
        values: dict[str, object] = {}
        is_resnet = load_config(self.config).model.backbone == "build_resnet_fpn_backbone"
        if self.weights:
            values["MODEL.WEIGHTS"] = self.weights
        elif is_resnet:
            values |= {"MODEL.WEIGHTS": "", **RANDOM_RESNET}
        if self.quick:
            values |= QUICK
        return load_config(self.config, pairs(values | dict(changes or {})))

    @property
    def full_speed(self) -> Mapping[str, object]:
        """Return the settings for full speed on the device."""
        # CPUs emulate bf16 slowly.
        return {"SOLVER.AMP.ENABLED": self.device != "cpu", "MODEL.CHANNELS_LAST": True}


def pairs(values: Mapping[str, object]) -> list[str]:
    """Return keys and values as command line arguments."""
    return [str(part) for item in values.items() for part in item]


def describe(device: str) -> str:
    """Return the device's name and memory."""
    if device == "cpu":
        return "the CPU, compared with itself"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"


def reset_peak_memory(device: str) -> None:
    """Reset the peak memory; not possible on a CPU."""
    if device == "cuda":
        # Compiled kernels keep their model alive.
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
