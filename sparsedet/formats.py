"""File formats of annotated images: COCO, and those of installed packages.

Formats live in `integrations/` or in third-party packages, and are found through the entry point
group `sparsedet.formats`; the core never imports one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

from sparsedet.annotations import Dataset
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.foreign import foreign_format, foreign_inside
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.annotations.units import refuse_shares
from sparsedet.errors import AnnotationError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.wording import first_of

ENTRY_POINTS = "sparsedet.formats"

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Common names of splits -> our names."""
ALL_SPLITS = "all"
"""All images, where a split can be chosen."""
_DEEPEST, _MOST_FOLDERS = 3, 20
"""Levels of folders, and folders per level, that are searched for a dataset to point to."""
_MOST_FILES = 5_000
"""Maximum number of files that are searched for an image."""


class Loaded(NamedTuple):
    """The result of reading."""

    dataset: Dataset
    images: Path | None
    """The folder that file names are relative to; None if there is none."""


class DatasetFormat(Protocol):
    """A file format; entry points of the group `sparsedet.formats` return one when called."""

    @property
    def title(self) -> str:
        """Its name, as text."""
        ...

    @property
    def layout(self) -> str:
        """What a folder of this format is recognised by, in a few words."""
        ...

    @property
    def needs_images(self) -> bool:
        """Whether reading needs the images, since annotations lack their sizes."""
        ...

    @property
    def lists_classes(self) -> bool:
        """Whether it lists classes without boxes."""
        ...

    @property
    def can_write(self) -> bool:
        """Whether `stored`, `losses` and `write` are supported; else they raise AnnotationError."""
        ...

    @property
    def holds_scores(self) -> bool:
        """Whether boxes have the key `score`."""
        ...

    def detect(self, path: Path) -> bool:
        """Return whether a file or folder looks like this format, without reading it completely."""
        ...

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits of a file or folder, by their `SPLIT_NAMES`.

        None if it has none: fewer than two are named, or they have the same images.

        Args:
            path: The file or folder.
            images: The image folder, if not in the usual location.
        """
        ...

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        faults: Faults | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a file or folder.

        Args:
            path: The file or folder.
            images: The image folder, if not in the usual location.
            split: Read only this split of the format's own, under any of its names.
            faults: Collects faults that can be left out or repaired; None: the first fault is an
                error.
            progress: Called for progress reports.

        Raises:
            AnnotationError: naming the file and the broken position.
        """
        ...

    def stored(self, dataset: Dataset) -> Dataset:
        """Return the images and boxes of a dataset that `write` does not leave out."""
        ...

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Return what this format can't store of a dataset: one phrase with a count per kind."""
        ...

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Write a dataset into an empty folder, leaving out what the format can't store.

        Args:
            dataset: What to write.
            folder: An existing, empty folder.
            images: The folder of its images, which are linked or copied; None leaves them out.
            progress: Called for progress reports.

        Raises:
            AnnotationError: when a file or class name can't be written in this format.
        """
        ...


def format_names() -> list[str]:
    """Return the names of all installed formats."""
    return sorted(_points())


def writable_formats() -> list[str]:
    """Return the names of the installed formats that support writing."""
    return [name for name in format_names() if load_format(name).can_write]


def load_format(name: str) -> DatasetFormat:
    """Return the format that a package registered under `name`.

    Raises:
        AnnotationError: listing the names that are installed.
    """
    points = _points()
    if name not in points:
        raise AnnotationError(
            f"no format {name!r} is installed (available: {', '.join(sorted(points)) or '-'})"
        )
    made: DatasetFormat = points[name].load()()
    return made


def detect_format(path: Path) -> str:
    """Detect the format of a file or folder.

    Raises:
        AnnotationError: when nothing is there, no format matches, or several do.
    """
    if not path.exists():
        raise AnnotationError(f"{path}: no such file or folder")
    formats = {name: load_format(name) for name in format_names()}
    found = [name for name, candidate in formats.items() if candidate.detect(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise AnnotationError(
            f"{path}: could be {' or '.join(found)}; pass its json or yaml file, or run `sparsedet "
            "convert` with --from"
        )
    if (foreign := foreign_format(path)) is not None:
        raise AnnotationError(f"{path}: {foreign}")
    if inner := _inside(path, formats):
        pass_it = "pass that folder" if len(inner) == 1 else "pass one of these folders"
        raise AnnotationError(f"{path}: no annotations here, but in {first_of(inner)}; {pass_it}")
    if path.is_dir() and (foreign := foreign_inside(path)) is not None:
        raise AnnotationError(f"{path}: {foreign}")
    if path.is_dir() and _has_images(path):
        raise AnnotationError(
            f"{path}: images without annotations; pass the file or folder with the annotations, "
            "such as one with annotations.json and images/"
        )
    # The layouts of all formats would be too long for an error.
    usual = [f"{name}: {format.layout}" for name, format in formats.items() if format.can_write]
    others = ", ".join(format.title for format in formats.values() if not format.can_write)
    expected = "; ".join([*usual, f"also {others}"] if others else usual)
    raise AnnotationError(f"{path}: not a format that sparsedet reads ({expected})")


def _has_images(folder: Path) -> bool:
    """Whether there are images in a folder, or in one of its folders."""
    files = (file for pattern in ("*", "*/*", "*/*/*") for file in folder.glob(pattern))
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in islice(files, _MOST_FILES))


def _inside(folder: Path, formats: Mapping[str, DatasetFormat]) -> list[Path]:
    """Return the folders within another one that have a format, all on the same level.

    Archives often have all files in a folder of its own, and those of several tasks of CVAT one
    folder per task.
    """
    level = [folder] if folder.is_dir() else []
    for _ in range(_DEEPEST):
        level = [
            entry
            for outer in level
            for entry in sorted(outer.iterdir())
            if entry.is_dir() and not entry.name.startswith((".", "__"))
        ][:_MOST_FOLDERS]
        if found := [i for i in level if any(one.detect(i) for one in formats.values())]:
            return found
    return []


def read_dataset(
    path: Path,
    *,
    format: str | None = None,
    images: Path | None = None,
    split: str | None = None,
    faults: Faults | None = None,
    progress: Progress = no_progress,
) -> Loaded:
    """Read annotated images: a COCO file, a workspace, or a folder of any installed format.

    Args:
        path: The file or folder.
        format: Name of its format; None: detect it.
        images: The image folder, if not in the usual location.
        split: Read only this split of the format's own.
        faults: Collects faults; None: the first fault is an error.
        progress: Called for progress reports.

    Returns:
        The dataset, and the folder that its file names are relative to (None if there is none).

    Raises:
        AnnotationError: see `detect_format` and `DatasetFormat.read`; or when the boxes are no
            pixels.
    """
    if not path.exists():
        raise AnnotationError(f"{path}: no such file or folder")
    name = format or detect_format(path)
    loaded = load_format(name).read(
        path, images=images, split=split, faults=faults, progress=progress
    )
    refuse_shares(path, loaded.dataset)
    return loaded


def canonical_split(name: str) -> str:
    """Normalise common names to `train`, `val` or `test`; other names to lower case."""
    return SPLIT_NAMES.get(name.lower(), name.lower())


def match_split(wanted: str, known: Iterable[str]) -> str | None:
    """Return the known split that a name means; None if there is none."""
    names = list(known)
    if wanted in names:
        return wanted
    return next((n for n in names if canonical_split(n) == canonical_split(wanted)), None)


class SplitChoice(NamedTuple):
    """The selected images of some data."""

    taken: str | None
    """A split; None: all images."""
    there: Sequence[str]
    """The splits that the data has."""
    was_asked: bool

    def in_words(self, source: object) -> str:
        """Return a note for the user about the choice; empty if there was none."""
        if self.was_asked or not self.there:
            return ""
        taken = f"its split {self.taken}" if self.taken else "all images"
        there = ", ".join(self.there)
        return f"{source}: using {taken} (of {there}; --split chooses, `all` takes all)"


def choose_split(
    path: Path,
    format: str,
    asked: str | None,
    usual: Sequence[str] = (),
    images: Path | None = None,
) -> SplitChoice:
    """Choose the split to read.

    Args:
        path: The file or folder.
        format: Its format's name.
        asked: The requested split, `all`, or None.
        usual: Default splits: the first one that the data has is read; empty: all images.
        images: The image folder, if not in the usual location.

    Raises:
        AnnotationError: when the data has splits, but none of the defaults.
    """
    if asked == ALL_SPLITS:
        return SplitChoice(None, (), True)
    if asked is not None:
        return SplitChoice(asked, (), True)
    there = tuple(load_format(format).splits(path, images))
    if not usual or not there:
        return SplitChoice(None, there, False)
    taken = next((split for split in usual if split in there), None)
    if taken is None:
        raise AnnotationError(
            f"{path}: has the splits {', '.join(there)}, but no {' or '.join(usual)}; choose one "
            "with --split (`all` takes all images)"
        )
    return SplitChoice(taken, there, False)


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
