"""Where annotations and images are: COCO files, workspace folders, and the published names."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from sparsedet.errors import SparseDetError
from sparsedet.recipe_files import PACKAGE, PAPER
from sparsedet.workspace import locate


@dataclass(frozen=True, slots=True)
class DataSource:
    """An annotation file and the folder that its file names are relative to."""

    annotations: Path
    images: Path


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a published dataset lies below the data root."""

    annotations: str
    images: str


@dataclass(frozen=True, slots=True)
class ReleasedSplit:
    """A sparse training set that was released as a file."""

    name: str
    dataset: str
    """What it was made from, as people write it."""
    dropped: str
    """What its name says about the boxes that are gone; no measurement."""
    layout: _Layout


_PAPER: dict[str, Any] = yaml.safe_load(
    files(PACKAGE).joinpath(f"{PAPER}.yaml").read_text(encoding="utf-8")
)

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


def resolve(data: str, images: Path | None = None, data_root: Path | None = None) -> DataSource:
    """Return annotations and images of a COCO file, a workspace folder or a published name.

    Raises:
        SparseDetError: when nothing is there, saying where it was looked for.
    """
    path = Path(data)
    if data in PUBLISHED and not path.exists():
        return _published(data, images, data_root)
    if not path.exists():
        raise SparseDetError(
            f"{data}: neither a file or folder nor a registered name ({', '.join(PUBLISHED)})"
        )
    return DataSource(*locate(path, images))


def released_file(released: str, data_root: Path | None) -> Path:
    """Return the path of a released sparse split: a file, or one of `RELEASED` by (file) name.

    Raises:
        SparseDetError: when nothing is there, saying where it was looked for.
    """
    path = Path(released)
    name = released.removesuffix(".json")
    if name in RELEASED and not path.exists():
        return _published(name, None, data_root).annotations
    if not path.is_file():
        raise SparseDetError(
            f"{released}: neither a file nor the name of a released split ({', '.join(RELEASED)})"
        )
    return path


def is_at_hand(split: ReleasedSplit, data_root: Path | None) -> bool:
    """Tell whether the file of a released split lies below the data root."""
    return data_root is not None and (data_root / split.layout.annotations).is_file()


def _published(name: str, images: Path | None, data_root: Path | None) -> DataSource:
    if data_root is None:
        raise SparseDetError(f"{name}: give the folder of the datasets (--data-root)")
    layout = PUBLISHED[name]
    source = DataSource(data_root / layout.annotations, images or data_root / layout.images)
    if not source.annotations.is_file():
        raise SparseDetError(f"{name}: {source.annotations} is missing")
    return source
