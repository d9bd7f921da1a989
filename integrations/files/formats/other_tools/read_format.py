"""Common base of other tools' formats, most of which can only be read."""

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
    """A format whose reader returns records; see `records`."""

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
        """Read the files.

        Args:
            path: the file or folder.
            images: the image folder given by the user.
            faults: records unreadable files.

        Raises:
            AnnotationError: if this is not the format's file or folder.
        """

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits given by files, folders or entries."""
        # Sizes and missing images don't matter here.
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
        """Read a file or folder; ids are the same with or without a split."""
        faults = faults or strictly(path)
        progress("reading annotations", 0, 0)
        records = self.records(path, images, faults)
        read = assemble(records, images, path, faults, progress)
        dataset = read.dataset if split is None else _part(path, read, split)
        return Loaded(dataset, read.images)

    def stored(self, dataset: Dataset) -> Dataset:
        """Raise an error: this format can only be read."""
        raise AnnotationError(_unwritten(self.title))

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Raise an error: this format can only be read."""
        raise AnnotationError(_unwritten(self.title))

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Raise an error: this format can only be read."""
        raise AnnotationError(_unwritten(self.title))


def _part(path: Path, read: Assembled, split: str) -> Dataset:
    name = match_split(split, read.splits)
    if name is None:
        known = ", ".join(sorted(read.splits)) or "-"
        raise AnnotationError(f"{path}: no split {split!r} (found: {known})")
    return with_split(read.dataset, read.splits[name])


def _unwritten(title: str) -> str:
    return f"{title} can only be read; choose coco, voc, yolo or label-studio"
