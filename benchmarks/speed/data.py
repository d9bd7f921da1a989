"""What is trained on: half of a dataset's boxes, the others as what mining would find."""

from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode

from sparsedet.annotations import Box, Dataset, read_coco
from sparsedet.errors import SparseDetError
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.data.packed_dataset import PackedImages
from sparsedet.training.data.pseudo_labels import NOTHING, PseudoLabels, usable
from sparsedet.training.data.samples import training_images

_DROP = 0.5
_SEED = 1


@dataclass(frozen=True)
class SpeedData:
    """A dataset with half of its boxes."""

    name: str
    train: Dataset
    """With half of the boxes."""
    removed: tuple[Box, ...]
    test: Dataset
    images: Path

    def training_images(self, cfg: CfgNode, *, mined: bool = False) -> PackedImages:
        """Return the images to train on.

        Args:
            cfg: the configuration of a run.
            mined: whether the removed boxes come along, as mining might have them: half as labels,
                half in doubt, as far as the configuration uses them.
        """
        found = NOTHING
        if mined:
            halves = PseudoLabels(self.removed[::2], self.removed[1::2])
            found = usable(halves, cfg.SPARSEDET.STAGED)
        return training_images(
            self.train,
            self.images,
            extra_labels=found.labels,
            ignored=found.doubtful,
            keep_unlabelled=not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
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
    train, removed = remove_boxes(full, load_recipe("random").with_drop(_DROP), _SEED)
    return SpeedData(folder.resolve().name, train, tuple(removed.boxes), test, images)
