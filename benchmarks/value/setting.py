"""The common start of the benchmarks on reviewers' time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Box, Category, Dataset, read_coco
from sparsedet.simulation import Behaviour, Reviewer, read_neutral
from sparsedet.simulation.scenes import make_scenes
from sparsedet.simulation.truth import TrueObject, true_objects
from sparsedet.sparsify import load_recipe, remove_boxes

from .curves import Curve, regions_of, shown_objects

_DIGITS = "digits"
_DIGIT = "digit"
"""The same, more of them, with a single class: enough boxes for acceptance by sample."""
_SCENES = {_DIGITS: 100, _DIGIT: 300}


@dataclass(frozen=True)
class Setting:
    """A dataset that lacks boxes, and a reviewer who knows them."""

    name: str
    full: Dataset
    sparse: Dataset
    images: Path
    neutral: Sequence[Box]
    drop: float
    seed: int
    iterations: int
    work: Path
    """The folder of trainings."""
    reviewer: Reviewer

    def curve(self, arm: str) -> Curve:
        """Return the start of an arm's curve."""
        objects = self.objects
        start = sum(
            shown_objects(regions_of(self.sparse, image.id), objects[image.file_name])
            for image in self.sparse.images
        )
        count = sum(len(own) for own in objects.values())
        return Curve(arm, self.name, self.drop, self.seed, count, start)

    @property
    def objects(self) -> Mapping[str, Sequence[TrueObject]]:
        """The true objects, by file name."""
        return true_objects(self.full)


def make_setting(
    data: str, work: Path, *, drop: float, seed: int, iterations: int, recipe: str = "random"
) -> Setting:
    """Return a dataset without a share of its boxes.

    Args:
        data: a folder with `train.json` and `images/`, or generated scenes: `digits`, or `digit`
            for more of them with a single class.
        work: the folder of all trainings.
        drop: the share of boxes to remove.
        seed: of the removal, of trainings and of the reviewer.
        iterations: of each training.
        recipe: name of the removal recipe; if not `random`, it is part of the setting's name.
    """
    neutral: tuple[Box, ...] = ()
    if data in _SCENES:
        images = work / f"{data}-scenes"
        full, name = make_scenes(_SCENES[data], images, seed=1), data
        if data == _DIGIT:
            full = _with_one_class(full)
    else:
        folder = Path(data)
        full, name, images = (
            read_coco(folder / "train.json"),
            folder.resolve().name,
            folder / "images",
        )
        unlabelled = folder / "unlabelled_train.json"
        if unlabelled.exists():
            neutral = read_neutral(unlabelled, full)
    if recipe != "random":
        name = f"{name}-{recipe}"
    sparse, _ = remove_boxes(full, load_recipe(recipe).with_drop(drop), seed)
    return Setting(
        name=name,
        full=full,
        sparse=sparse,
        images=images.resolve(),
        neutral=neutral,
        drop=drop,
        seed=seed,
        iterations=iterations,
        work=(work / f"{name}-{drop:g}-s{seed}").resolve(),
        reviewer=Reviewer(full, neutral, Behaviour(), seed),
    )


def _with_one_class(dataset: Dataset) -> Dataset:
    """Return a dataset whose boxes are all of the class `digit`."""
    boxes = tuple(replace(box, category_id=1) for box in dataset.boxes)
    return replace(dataset, categories=(Category(1, _DIGIT),), boxes=boxes)
