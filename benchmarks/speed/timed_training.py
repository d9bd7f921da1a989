"""Trainings with individually timed steps, on a dataset with half of its boxes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparsedet.annotations import Box, Dataset, read_coco
from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.errors import SparseDetError
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.data.loader import Batch, batches
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from sparsedet.training.data.pseudo_labels import NOTHING, PseudoLabels, usable
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.trainer import Trainer

_DROP = 0.5
SEED = 1
_ENDLESS = 10**9


@dataclass(frozen=True)
class SpeedData:
    """A dataset with half of its boxes."""

    name: str
    train: Dataset
    """With half of the boxes."""
    removed: tuple[Box, ...]
    test: Dataset
    images: Path

    def training_images(self, config: TrainingConfig, *, mined: bool = False) -> PackedDataset:
        """Return the training images.

        Args:
            config: the configuration of a run.
            mined: whether the removed boxes stand for mined ones: half as labels, half as ignore
                regions, as far as the configuration uses them.
        """
        found = NOTHING
        if mined:
            labels = self.removed[::2]
            halves = PseudoLabels(labels, (1.0,) * len(labels), self.removed[1::2])
            found = usable(halves, config.staged)
        return training_images(
            self.train,
            self.images,
            mined=found,
            keep_unlabelled=not config.loader.filter_empty_annotations,
        )


def read_data(folder: Path) -> SpeedData:
    """Read `train.json`, `test.json` and `images/` of a folder.

    Raises:
        SparseDetError: when one of them is missing or broken.
    """
    images = folder / "images"
    if not images.is_dir():
        raise SparseDetError(f"--data {folder}: no folder images/ in it")
    full, test = read_coco(folder / "train.json"), read_coco(folder / "test.json")
    train, removed = remove_boxes(full, load_recipe("random").with_drop(_DROP), SEED)
    return SpeedData(folder.resolve().name, train, tuple(removed.boxes), test, images)


def configuration(method: str, classes: int, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Return the default configuration for a method, on the CPU."""
    config = load_config("lite0_fpn", overrides).with_values({"MODEL.DEVICE": "cpu"})
    return config.prepared(method=method, seed=SEED, classes=classes)


class TimedTraining:
    """An iteration of a run's stage, without log and checkpoints."""

    def __init__(self, config: TrainingConfig, images: Sequence[TrainingImage]) -> None:
        self.config = config
        self.images = images
        self._trainer = Trainer(config, SEED)
        self._trainer.start(None, 0)
        self._batches: Iterator[Batch] = batches(images, config, seed=SEED, start=0, end=_ENDLESS)
        self.losses: dict[str, float] = {}
        """Losses of the last step, by name."""

    @property
    def model(self) -> nn.Module:
        """The model in training."""
        return self._trainer.model

    def fill_cache(self) -> None:
        """Load every image once."""
        # Portraits and landscapes are not mixed in a batch: an epoch may have one batch more.
        for _ in range(-(-len(self.images) // self.config.solver.batch_size) + 1):
            next(self._batches)

    def step(self, iteration: int) -> float:
        """Train one step as `iteration`; return its seconds."""
        self._trainer.iteration = iteration
        start = time.perf_counter()
        self.losses = self._trainer.step(next(self._batches))
        return time.perf_counter() - start


def turns(names: Sequence[str], number: int) -> Sequence[str]:
    """Return the order of a round: over the rounds, each name takes every position."""
    start = number % len(names)
    order = [*names[start:], *names[:start]]
    return order if number // len(names) % 2 == 0 else order[::-1]
