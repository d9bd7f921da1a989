"""The datasets: folders with complete annotations, and generated scenes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparsedet.annotations import Box, Dataset, check_images, read_coco
from sparsedet.errors import AnnotationError
from sparsedet.seeds import stable_rank
from sparsedet.simulation import read_neutral
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes

from .plan import Cell

DIGITS = "digits"
TRAIN_SCENES, TEST_SCENES = 100, 60
_INNER_SEED = 77


@dataclass(frozen=True)
class FullData:
    """A dataset with all its boxes, split into training and test images."""

    name: str
    source: Path
    """Name of the training annotations in errors."""
    train: Dataset
    train_images: Path
    test: Dataset
    test_images: Path
    unlabelled_train: Sequence[Box] = ()
    """Objects of the training images that the published labels lack."""
    unlabelled_test: Sequence[Box] = ()
    _sparse: dict[object, tuple[Dataset, Dataset]] = field(default_factory=dict, repr=False)

    def sparse(self, cell: Cell) -> tuple[Dataset, Dataset]:
        """Return a cell's training annotations, and the removed boxes on the same images.

        Raises:
            RecipeError: when there is no such recipe, or it can't remove that share.
        """
        choice = (cell.recipe, cell.drop, cell.seed)
        if choice not in self._sparse:
            recipe = load_recipe(cell.recipe)
            if cell.drop is not None:
                recipe = recipe.with_drop(cell.drop)
            self._sparse[choice] = remove_boxes(self.train, recipe, cell.seed)
        return self._sparse[choice]


def read_folder(folder: Path) -> FullData:
    """Read a folder with `train.json`, `test.json` and `images/`.

    Raises:
        AnnotationError: when something is missing or broken, naming it.
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such folder")
    images = folder / "images"
    train, test = (read_coco(folder / f"{part}.json") for part in ("train", "test"))
    for dataset in (train, test):
        check_images(dataset, images)
    return FullData(
        name=folder.resolve().name,
        source=folder / "train.json",
        train=train,
        train_images=images,
        test=test,
        test_images=images,
        unlabelled_train=_unlabelled(folder / "unlabelled_train.json", train),
        unlabelled_test=_unlabelled(folder / "unlabelled_test.json", test),
    )


def inner(data: FullData) -> FullData:
    """Return only the dataset's training images, with a quarter of them as test images.

    For choosing settings: those chosen on test images could not be evaluated on them.
    """
    images = sorted(data.train.images, key=lambda image: stable_rank(_INNER_SEED, image.file_name))
    count = len(images) // 4
    test, train = (data.train.with_images(part) for part in (images[:count], images[count:]))
    return replace(
        data,
        name=f"{data.name}-inner",
        train=train,
        test=test,
        test_images=data.train_images,
        unlabelled_train=_of(train, data.unlabelled_train),
        unlabelled_test=_of(test, data.unlabelled_train),
        _sparse={},
    )


def digit_scenes(folder: Path, train: int = TRAIN_SCENES, test: int = TEST_SCENES) -> FullData:
    """Generate scenes of handwritten digits in `folder`, always the same ones."""
    return FullData(
        name=DIGITS,
        source=folder / "train",
        train=make_scenes(train, folder / "train", seed=1),
        train_images=folder / "train",
        test=make_scenes(test, folder / "test", seed=2),
        test_images=folder / "test",
    )


def _of(dataset: Dataset, boxes: Sequence[Box]) -> Sequence[Box]:
    return [box for box in boxes if box.image_id in dataset.image_by_id]


def _unlabelled(path: Path, dataset: Dataset) -> Sequence[Box]:
    return read_neutral(path, dataset) if path.exists() else ()
