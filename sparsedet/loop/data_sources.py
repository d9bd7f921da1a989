"""Annotations from a command's argument: a file, a folder, or a published name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sparsedet.annotations import Category, Dataset, read_coco
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.foreign import foreign_format
from sparsedet.errors import SparseDetError
from sparsedet.formats import (
    choose_split,
    detect_format,
    format_names,
    load_format,
    read_dataset,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.splits import paper_file


@dataclass(frozen=True, slots=True)
class Data:
    """Annotations read from disk, and their images."""

    dataset: Dataset
    images: Path
    """The folder that file names are relative to."""
    source: Path
    """The file or folder that was read."""
    format: str = "coco"
    """Its name in the entry point group `sparsedet.formats`."""
    note: str = ""
    """A note for the user about the chosen split; empty if there is none."""

    def with_classes(self, names: Iterable[str]) -> Dataset:
        """Return the dataset, adding classes without boxes that its format doesn't list.

        Args:
            names: All classes.
        """
        categories = self.dataset.categories
        if load_format(self.format).lists_classes:
            return self.dataset
        known = {category.name for category in categories}
        first = max((category.id for category in categories), default=0) + 1
        missing = [name for name in names if name not in known]
        further = (Category(id, name) for id, name in enumerate(missing, start=first))
        return replace(self.dataset, categories=(*categories, *further))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a published dataset is, relative to the data root."""

    annotations: str
    images: str


@dataclass(frozen=True, slots=True)
class ReleasedSplit:
    """A released sparse training set."""

    name: str
    dataset: str
    """The source of the split, as text."""
    dropped: str
    """What the name says about the removed boxes; not measured."""
    layout: _Layout


_HEAD = 4096
"""Number of leading bytes in which a JSON file must begin."""
_PAPER: dict[str, Any] = yaml.safe_load(paper_file().read_text(encoding="utf-8"))

RELEASED: dict[str, ReleasedSplit] = {
    name: ReleasedSplit(
        name,
        _PAPER["datasets"][entry["dataset"]]["title"],
        entry["dropped"],
        _Layout(f"splits/{name}.json", _PAPER["datasets"][entry["dataset"]]["images"]),
    )
    for name, entry in _PAPER["files"].items()
}
"""The released sparse splits by name, as `splits/paper.yaml` lists them."""

PUBLISHED: dict[str, _Layout] = {
    **{name: split.layout for name, split in RELEASED.items()},
    "coco_val": _Layout("coco/annotations/instances_val2017.json", "coco/val2017"),
    "voc_test": _Layout("splits/voc_test.json", "voc"),
}
"""The dataset names of the published commands: 15 sparse splits and two test sets."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Options for reading data."""

    split: str | None = None
    """The requested split; `all` for all images."""
    usual: Sequence[str] = ()
    """The default split for data that has splits; empty: all images."""
    strict: bool = False
    """Whether the first fault raises, instead of being skipped or repaired where that is safe."""
    files: bool = True
    """Whether images are required: entries without an image are left out."""
    keeps_unreadable: bool = False
    """Whether to keep unreadable images, for callers that skip them when decoding."""


USUAL = Reading()
FOR_MINING = Reading(keeps_unreadable=True)
FOR_TRAINING = Reading(usual=("train",), keeps_unreadable=True)
FOR_EVALUATION = Reading(usual=("val", "test"), keeps_unreadable=True)


def read_data(
    data: str,
    images: Path | None = None,
    data_root: Path | None = None,
    reading: Reading = USUAL,
) -> Data:
    """Read a file or folder, or a published name; see `read_path`.

    Raises:
        SparseDetError: when nothing is there (with the paths tried), or it can't be read.
    """
    path = Path(data)
    if path.exists():
        return read_path(path, images, reading)
    if data in PUBLISHED:
        file, folder = _published(data, images, data_root)
        return Data(read_coco(file), folder, file)
    raise SparseDetError(
        f"{data}: not a file, a folder or a published name ({', '.join(PUBLISHED)})"
    )


def read_path(path: Path, images: Path | None = None, reading: Reading = USUAL) -> Data:
    """Read a COCO file, a workspace, or a folder of any installed format, with its image folder.

    Faults are left out or repaired, with one warning per kind, unless reading is strict.

    Raises:
        SparseDetError: when nothing is there, it can't be read, too much of it is faulty, or it
            has no images.
    """
    found = read_anything(path, images, reading)
    if found.images is None:
        raise SparseDetError(f"{path}: missing image folder: pass --images FOLDER")
    return Data(found.dataset, found.images, found.source, found.format, found.note)


@dataclass(frozen=True, slots=True)
class MaybeWithImages:
    """Annotations read from disk, and their images if there are any."""

    dataset: Dataset
    images: Path | None
    source: Path
    format: str
    note: str


def read_anything(
    path: Path,
    images: Path | None = None,
    reading: Reading = USUAL,
    *,
    format: str | None = None,
    progress: Progress = no_progress,
) -> MaybeWithImages:
    """Read annotations with or without images; see `read_path`."""
    if not path.exists():
        raise SparseDetError(f"{path}: no such file or folder")
    name = format or format_of(path)
    choice = choose_split(path, name, reading.split, reading.usual, images)
    own = Workspace(path).annotations
    source = own if name == "coco" and own.is_file() else path
    faults = Faults(
        source,
        strict=reading.strict,
        files=reading.files,
        keeps_unreadable=reading.keeps_unreadable,
    )
    loaded = read_dataset(
        path, format=name, images=images, split=choice.taken, faults=faults, progress=progress
    )
    dataset = loaded.dataset
    faults.check()
    faults.warn()
    return MaybeWithImages(dataset, loaded.images, source, name, choice.in_words(path))


def splits_of(data: str, images: Path | None = None) -> Sequence[str]:
    """Return the splits of a file or folder; none for published names."""
    path = Path(data)
    return load_format(format_of(path)).splits(path, images) if path.exists() else ()


def released_file(released: str, data_root: Path | None) -> Path:
    """Return the path of a released sparse split: a file, or a (file) name in `RELEASED`.

    Raises:
        SparseDetError: when nothing is there (with the paths tried).
    """
    path = Path(released)
    name = released.removesuffix(".json")
    if name in RELEASED and not path.exists():
        return _published(name, None, data_root)[0]
    if not path.is_file():
        raise SparseDetError(f"{released}: not a file or a released split ({', '.join(RELEASED)})")
    return path


def is_at_hand(split: ReleasedSplit, data_root: Path | None) -> bool:
    """Return whether the file of a released split exists below the data root."""
    return data_root is not None and (data_root / split.layout.annotations).is_file()


def format_of(path: Path) -> str:
    """Return the format to read; unrecognised files are read as COCO if they may be JSON."""
    if path.is_dir():
        # Other tools may have left files of their own in a COCO project.
        is_project = Workspace(path).annotations.is_file() and load_format("coco").detect(path)
        return "coco" if is_project else detect_format(path)
    found = next((name for name in format_names() if load_format(name).detect(path)), None)
    if found is None and (foreign := foreign_format(path)) is not None:
        raise SparseDetError(f"{path}: {foreign}")
    if found is None and path.is_file() and not _may_be_json(path):
        return detect_format(path)  # raises, with what there could be
    return found or "coco"


def _may_be_json(path: Path) -> bool:
    """Whether a file begins like a JSON object."""
    with path.open("rb") as file:
        return file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _published(name: str, images: Path | None, data_root: Path | None) -> tuple[Path, Path]:
    """Return annotation file and image folder."""
    if data_root is None:
        raise SparseDetError(f"{name}: missing data folder: pass --data-root FOLDER")
    layout = PUBLISHED[name]
    file = data_root / layout.annotations
    if not file.is_file():
        raise SparseDetError(f"{name}: {file} is missing")
    return file, images or data_root / layout.images
