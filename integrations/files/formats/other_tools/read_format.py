"""What the formats of other tools have in common: they are read, and most of them not written."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from sparsedet.annotations import Dataset
from sparsedet.annotations.faults import Faults, strictly
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded, match_split
from sparsedet.push_modes import Progress, no_progress

from ..conversion import real_splits, with_split
from .records import Assembled, Records, assemble


class ReadFormat(ABC):
    """A format of which a reader makes records; see `records`."""

    title: ClassVar[str]
    layout: ClassVar[str]
    needs_images: ClassVar[bool] = False
    lists_classes: ClassVar[bool] = False
    can_write: ClassVar[bool] = False
    holds_scores: ClassVar[bool] = False

    @abstractmethod
    def detect(self, path: Path) -> bool:
        """Return whether a file or folder looks like this format, without reading all of it."""

    @abstractmethod
    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Return what the files say.

        Args:
            path: the file or folder.
            images: the image folder that a person named.
            faults: takes note of files that can't be read.

        Raises:
            AnnotationError: when this is none of the format's files.
        """

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits that files, folders or entries are named after."""
        # Nobody needs sizes or missing images here.
        faults = Faults(path, files=False, keeps_unreadable=True)
        records = self.records(path, images, faults)
        if len({record.split for record in records.records}) < 2:
            return []
        return real_splits(assemble(records, images, path, faults, no_progress).splits)

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        faults: Faults | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a file or folder; ids are those of the whole."""
        faults = faults or strictly(path)
        progress("reading annotations", 0, 0)
        records = self.records(path, images, faults)
        read = assemble(records, images, path, faults, progress)
        dataset = read.dataset if split is None else _part(path, read, split)
        return Loaded(dataset, read.images)

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Refuse: this format is read only."""
        raise AnnotationError(_unwritten(self.title))

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Refuse: this format is read only."""
        raise AnnotationError(_unwritten(self.title))


def _part(path: Path, read: Assembled, split: str) -> Dataset:
    name = match_split(split, read.splits)
    if name is None:
        known = ", ".join(sorted(read.splits)) or "-"
        raise AnnotationError(f"{path}: no split {split!r} (found: {known})")
    return with_split(read.dataset, read.splits[name])


def _unwritten(title: str) -> str:
    return f"{title} is read, but not written; choose coco, voc, yolo or label-studio"
