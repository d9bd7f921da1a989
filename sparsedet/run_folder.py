"""A run folder on disk: what training leaves for evaluation, mining and export."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsedet.annotations import Category, Dataset
from sparsedet.errors import RunError
from sparsedet.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is, beside its configuration."""

    run_id: str
    """Hash of configuration, training data and seed: the same input gives the same id."""
    method: str
    seed: int
    train: str
    """The training annotations, as given."""
    images: str
    """The image folder, absolute: a run may be resumed from anywhere."""
    classes: list[tuple[int, str]]
    """(category id, name) in the order of the model's outputs."""
    version: str
    """Of sparsedet."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run."""

    root: Path

    @property
    def config(self) -> Path:
        """The complete configuration."""
        return self.root / "config.yaml"

    @property
    def info_file(self) -> Path:
        """What the run is."""
        return self.root / "run.json"

    @property
    def training_data(self) -> Path:
        """The annotations that the run learns from, a copy."""
        return self.root / "train.json"

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.root / "model.pth"

    @property
    def metrics(self) -> Path:
        """Losses and learning rates, one JSON object per line."""
        return self.root / "metrics.json"

    @property
    def checkpoints(self) -> Path:
        """The training states that `--resume` goes on from."""
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    @property
    def mining(self) -> Path:
        """Models of mining's own, where it has some, and what they found in the training images."""
        return self.root / "mining"

    @property
    def folds_file(self) -> Path:
        """Image id -> the fold whose model did not train on it; a single fold: all images."""
        return self.mining / "folds.json"

    def fold_model(self, fold: int) -> Path:
        """Return the path of a model that mines."""
        return self.mining / f"fold{fold}.pth"

    @property
    def calibration(self) -> Path:
        """How the mining model scores annotated objects: what its thresholds were read off."""
        return self.mining / "calibration.json"

    def write_info(self, info: RunInfo) -> None:
        """Write what the run is."""
        write_json(self.info_file, asdict(info), indent=2)

    def info(self) -> RunInfo:
        """Return what the run is.

        Raises:
            RunError: when the folder holds no run.
        """
        if not self.info_file.is_file():
            raise RunError(f"{self.root}: no run here (run.json is missing); `sparsedet train`")
        try:
            content = read_json(self.info_file)
            content["classes"] = [(number, name) for number, name in content["classes"]]
            return RunInfo(**content)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.info_file}: unexpected content ({error!r})") from error

    def finished_model(self) -> Path:
        """Return the finished model's path.

        Raises:
            RunError: when the training has not finished.
        """
        if not self.model.is_file():
            raise RunError(
                f"{self.root}: no model.pth; finish the training with `sparsedet train --resume "
                f"-o {self.root}`"
            )
        return self.model

    def models_for_mining(self) -> dict[int, Path]:
        """Return the models that mine, by fold; a run without models of its own mines by its model.

        A retrained model's scores saturate, and a model flatters boxes that it trained on, so
        mining and thresholds read `mining/` where it exists.
        """
        if not self.folds_file.is_file():
            return {0: self.finished_model()}
        return {fold: self.fold_model(fold) for fold in sorted({0, *self.folds().values()})}

    def folds(self) -> Mapping[int, int]:
        """Return image id -> fold; empty for a single fold."""
        if not self.folds_file.is_file():
            return {}
        content = read_json(self.folds_file)
        try:
            return {int(image): int(fold) for image, fold in content.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise RunError(f"{self.folds_file}: unexpected content ({error})") from error


def class_ids(info: RunInfo, dataset: Dataset) -> list[int]:
    """Return the dataset's category id of every class of the run, matched by name.

    Raises:
        RunError: when the dataset's categories are not those that the run was trained on.
    """
    by_name: dict[str, Category] = {category.name: category for category in dataset.categories}
    trained = {name for _, name in info.classes}
    if trained != by_name.keys():
        raise RunError(
            f"the data's categories ({', '.join(sorted(by_name))}) are not those of the run "
            f"({', '.join(sorted(trained))})"
        )
    return [by_name[name].id for _, name in info.classes]
