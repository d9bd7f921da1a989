"""Image files in folders, and the file of labels that belongs to each."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from sparsedet.annotations import upright_size
from sparsedet.errors import AnnotationError
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import Progress

IMAGE_SUFFIXES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""In lower case."""


def list_files(folder: Path, suffixes: Iterable[str]) -> list[str]:
    """Return the files below a folder, with forward slashes, sorted.

    Hidden files are left out, links to folders, which could lead in a circle, and workspaces, whose
    images are copies.

    Args:
        folder: where to look.
        suffixes: of the wanted files, in lower case, with the dot.
    """
    wanted = frozenset(suffixes)
    return sorted(name for name in _walk(folder, "") if _suffix(name) in wanted)


def stem(name: str) -> str:
    """Return a relative path without the suffix of its file."""
    return str(PurePosixPath(name).with_suffix(""))


def read_sizes(
    names: Iterable[str], folder: Path, progress: Progress
) -> dict[str, tuple[int, int]]:
    """Return the upright (width, height) of image files by name; only their headers are read.

    Raises:
        AnnotationError: naming the file that is no image.
    """
    wanted = list(names)
    sizes = {}
    for done, name in enumerate(wanted, start=1):
        sizes[name] = upright_size(folder / name)
        progress("reading images", done, len(wanted))
    return sizes


def check_stems(names: Iterable[str], suffix: str) -> None:
    """Refuse images that would share a file of labels.

    Args:
        names: file names of images.
        suffix: that of the files of labels.

    Raises:
        AnnotationError: naming two such images.
    """
    owners: dict[str, str] = {}
    for name in names:
        if (first := owners.setdefault(stem(name), name)) != name:
            raise AnnotationError(
                f"images {first} and {name} would share the file {stem(name)}{suffix}; rename one"
            )


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if not Workspace(Path(entry.path)).settings_file.exists():
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield prefix + entry.name


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
