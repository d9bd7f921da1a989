"""Outputs inside of their own source, which some formats would read as a part of it."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.annotations.faults import Faults
from sparsedet.errors import SparseDetError
from sparsedet.formats import choose_split, read_dataset
from sparsedet.loop.data_sources import format_of


@contextmanager
def kept_apart(
    output: Path, source: Path, images: Path | None = None, *, format: str | None = None
) -> Iterator[None]:
    """Take an output back if the source is read differently with it; the block writes it.

    Many formats look through sub-folders, so only reading shows it. Does nothing if the output is
    elsewhere.

    Args:
        output: a folder that the block creates.
        source: the file or folder that is read.
        images: its image folder, if not in the usual location.
        format: its format's name, if it is not detected.

    Raises:
        SparseDetError: when the source would be read differently.
    """
    folders = [source if source.is_dir() else source.parent, *([images] if images else [])]
    if not any(output.resolve().is_relative_to(folder.resolve()) for folder in folders):
        yield
        return
    before = _read(source, images, format)
    yield
    with _without_warnings():
        after = _read(source, images, format)
    if not before.is_same(after):
        shutil.rmtree(output, ignore_errors=True)
        raise SparseDetError(
            f"{output}: would be read as a part of {source} from now on; choose a folder outside "
            "of it"
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Log no warnings: they would be about the output."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading a source gives."""

    format: str
    dataset: Dataset | None
    """None if it can't be read."""
    images: Path | None
    splits: tuple[str, ...]
    faults: tuple[str, ...] = ()

    def is_same(self, other: "_Reading") -> bool:
        if replace(self, dataset=None) != replace(other, dataset=None):
            return False
        one, two = self.dataset, other.dataset
        if one is None or two is None:
            return one is two
        return (one.images, one.categories) == (two.images, two.categories) and _same_boxes(
            one, two
        )


def _read(source: Path, images: Path | None, format: str | None) -> _Reading:
    try:
        detected = format_of(source)
    except SparseDetError:
        detected = ""
    name = format or detected
    # Faults are reported by whoever reads the source to use it.
    faults = Faults(source, files=False)
    try:
        loaded = read_dataset(source, format=name, images=images, faults=faults)
        splits = tuple(choose_split(source, name, None, images=images).there)
    except SparseDetError:
        return _Reading(detected, None, None, ())
    return _Reading(detected, loaded.dataset, loaded.images, splits, tuple(faults.lines()))


def _same_boxes(one: Dataset, other: Dataset) -> bool:
    import numpy as np

    columns = ("image_ids", "category_ids", "xyxy")
    return all(
        np.array_equal(getattr(one.table, name), getattr(other.table, name)) for name in columns
    )
