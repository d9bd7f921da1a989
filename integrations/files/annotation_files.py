"""The annotations of a project as they stand in files, and how reviews get into them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sparsedet.annotations import Dataset
from sparsedet.annotations.coco import from_coco
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import AnnotationError, SparseDetError

from .changes import Changes, apply_changes
from .identity import identify


class AnnotationFiles(Protocol):
    """Annotations that have been read."""

    @property
    def dataset(self) -> Dataset:
        """What they say, with the ids of `identify`."""
        ...

    @property
    def images(self) -> Path | None:
        """The image folder."""
        ...

    @property
    def holds_complete(self) -> bool:
        """Whether they can say that every object of an image has a box."""
        ...

    def file_of(self, image: str) -> Path:
        """Return the file that holds the annotations of an image, or would."""
        ...

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write changes, by image id, and return what the files say then.

        Every file is written atomically, and what no change names stays in it as it is.

        Raises:
            ToolError: when a class is unknown to the files, or they changed since they were read.
        """
        ...


class CocoFiles:
    """A COCO file with `images/` beside it."""

    holds_complete = True

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._content = read_json(path)
        except SparseDetError as error:
            raise AnnotationError(str(error)) from error
        self.dataset = identify(from_coco(self._content, source=str(path)))
        self.images: Path | None = path.parent / "images"

    def file_of(self, image: str) -> Path:
        """All images are in the one file."""
        return self._path

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write the changes in one go."""
        apply_changes(self._content, self.dataset, changes, str(self._path))
        after = identify(from_coco(self._content, source=str(self._path)))
        write_json(self._path, self._content)
        return after
