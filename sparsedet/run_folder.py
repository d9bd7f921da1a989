"""The files of a run folder: what training leaves for evaluation and mining."""

import errno
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_validator

from sparsedet.annotations import Category, Dataset
from sparsedet.atomic_io import write_json
from sparsedet.errors import RunError, SparseDetError
from sparsedet.reading import read_object
from sparsedet.wording import counted, first_of


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Metadata of a run, apart from its configuration."""

    run_id: str
    """Hash of configuration, training data and seed: the same input gives the same id."""
    method: str
    seed: int
    train: str
    """The training annotations, as given."""
    images: str
    """The image folder, absolute: a run may be resumed from any folder."""
    classes: list[tuple[int, str]]
    """(category id, name) in the order of the model's outputs."""
    version: str
    """Version of sparsedet."""
    validation_images: str | None = None
    """The image folder of the validation data, absolute; None: none was given."""

    @property
    def names(self) -> list[str]:
        """The names of the classes, in the order of the model's outputs."""
        return [name for _, name in self.classes]


class _InfoFile(BaseModel):
    """Schema of `run.json`; see `RunInfo`."""

    model_config = ConfigDict(extra="forbid")

    run_id: str
    method: str
    seed: int
    train: str
    images: str
    classes: list[list[int | str]]
    version: str
    validation_images: str | None = None

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, value: list[list[int | str]]) -> list[list[int | str]]:
        if not all([type(part) for part in pair] == [int, str] for pair in value):
            raise ValueError("expected a list of [category id, name]")
        if not value:
            raise ValueError("empty")
        for part in (0, 1):
            counts = Counter(pair[part] for pair in value)
            if repeated := [repr(one) for one, count in counts.items() if count > 1]:
                raise ValueError(f"{first_of(repeated, 3)} occurs more than once")
        return value


_LOCK = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)
"""Errors of a lock that another process holds; others mean that the file system has no locks."""
_NOT_OURS = "not written by `sparsedet train`; restore it, or train again"


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
        """The run's metadata."""
        return self.root / "run.json"

    @property
    def training_data(self) -> Path:
        """The training annotations, a copy."""
        return self.root / "train.json"

    @property
    def ignored(self) -> Path:
        """Ignore regions, if any were given."""
        return self.root / "ignored.json"

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.root / "model.pth"

    @property
    def metrics(self) -> Path:
        """Losses and learning rates, one JSON object per line."""
        return self.root / "metrics.json"

    @property
    def curves(self) -> Path:
        """The metrics as a plot."""
        return self.root / "curves.png"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints that `--resume` reads."""
        return self.root / "checkpoints"

    @property
    def best(self) -> Path:
        """The best weights by validation, if validated."""
        return self.checkpoints / "best.pth"

    @property
    def validation_data(self) -> Path:
        """The validation data, if given; a copy."""
        return self.root / "validation.json"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard event files."""
        return self.root / "tensorboard"

    @property
    def mining(self) -> Path:
        """Boxes mined between the stages of the training."""
        return self.root / "mining"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run against training by other processes during the block.

        The operating system releases the lock when the process ends for any reason. Loader
        processes, which may survive it for some seconds, don't inherit it, unlike that of `flock`.
        On file systems without locks, nothing is locked.

        Raises:
            RunError: when another process is training the run.
        """
        import fcntl

        with ExitStack() as held:
            with suppress(OSError):
                self.checkpoints.mkdir(exist_ok=True)
                file = held.enter_context((self.checkpoints / _LOCK).open("ab"))
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    if error.errno in _HELD:
                        raise RunError(
                            f"{self.root}: another process is training this run; wait for it to "
                            "finish, or stop it"
                        ) from None
                    raise
            yield

    def write_info(self, info: RunInfo) -> None:
        """Write the metadata."""
        write_json(self.info_file, asdict(info), indent=2)

    def info(self) -> RunInfo:
        """Return the metadata.

        Raises:
            RunError: when the folder is not a run.
        """
        if not self.info_file.is_file():
            raise RunError(
                f"{self.root}: no run here (run.json is missing): pass a workspace with a round, "
                f"or a run; `sparsedet train -o {self.root}` trains one"
            )
        try:
            content = read_object(self.info_file, _InfoFile, _NOT_OURS)
        except SparseDetError as error:
            raise RunError(str(error)) from error
        content["classes"] = [(number, name) for number, name in content["classes"]]
        return RunInfo(**content)

    def check_outputs(self, outputs: int) -> None:
        """Check that there is a class for each output of the model, if this is a run.

        Args:
            outputs: number of classes in its configuration.

        Raises:
            RunError: when there are more or fewer.
        """
        if self.info_file.is_file() and (known := len(self.info().classes)) != outputs:
            raise RunError(
                f"{self.info_file}: lists {counted(known, 'class')}, but the model in "
                f"{self.config.name} has {outputs}; restore it, or train again"
            )

    def finished_model(self) -> Path:
        """Return the finished model's path.

        Raises:
            RunError: when the training has not finished.
        """
        if not self.model.is_file():
            raise RunError(
                f"{self.root}: no model.pth: finish the training with `sparsedet train --resume "
                f"-o {self.root}`"
            )
        return self.model


def class_ids(info: RunInfo, dataset: Dataset) -> list[int]:
    """Return the dataset's category id for each class of the run, matched by name.

    Raises:
        RunError: when the dataset's categories differ from those of the training.
    """
    check_classes(info.names, dataset, "the data")
    by_name: dict[str, Category] = {category.name: category for category in dataset.categories}
    return [by_name[name].id for name in info.names]


def with_common_classes(
    trained: Iterable[str], dataset: Dataset, source: str
) -> tuple[Dataset, str]:
    """Return a dataset with only the trained classes, and a note for the user.

    Boxes of other classes are left out; trained classes that it lacks have none.

    Args:
        trained: names of the trained classes.
        dataset: the evaluation data.
        source: its name in messages.

    Raises:
        RunError: when there is no class in common.
    """
    wanted = list(trained)
    known = {category.name: category for category in dataset.categories}
    if not known.keys() & set(wanted):
        check_classes(wanted, dataset, source)
    others = {category.id: name for name, category in known.items() if name not in wanted}
    missing = [name for name in wanted if name not in known]
    if not others and not missing:
        return dataset, ""
    first = max((category.id for category in dataset.categories), default=0) + 1
    further = tuple(Category(id, name) for id, name in enumerate(missing, start=first))
    boxes = [box for box in dataset.boxes if box.category_id not in others]
    negatives = (box for box in dataset.verified_negatives if box.category_id not in others)
    kept = tuple(category for category in dataset.categories if category.id not in others)
    lost = counted(len(dataset.boxes) - len(boxes), "box")
    parts = [
        f"the training has no {', '.join(sorted(others.values()))} ({lost} left out)"
        if others
        else "",
        f"the data has no {', '.join(sorted(missing))}" if missing else "",
    ]
    images = (
        replace(image, complete_classes=image.complete_classes - others.keys())
        for image in dataset.images
    )
    common = replace(
        dataset,
        images=tuple(images),
        boxes=tuple(boxes),
        categories=kept + further,
        verified_negatives=tuple(negatives),
    )
    listed = "; ".join(part for part in parts if part)
    return common, f"{source}: evaluated on the {len(kept)} classes in common: {listed}"


def check_classes(trained: Iterable[str], dataset: Dataset, source: str) -> None:
    """Check that a dataset has the trained classes.

    Args:
        trained: names of the trained classes.
        dataset: the dataset to use the model on.
        source: its name in the error.

    Raises:
        RunError: naming the classes that only one of the two has.
    """
    known, wanted = {category.name for category in dataset.categories}, set(trained)
    differences = [
        f"only {where}: {', '.join(sorted(names))}"
        for where, names in (("there", known - wanted), ("in the training", wanted - known))
        if names
    ]
    if differences:
        raise RunError(
            f"{source}: classes differ from those of the training ({'; '.join(differences)}); "
            "rename or remove them"
        )
