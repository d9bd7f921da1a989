"""Folders of image files: listed, measured, linked, and the file of labels that belongs to each."""

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from sparsedet.annotations import upright_size
from sparsedet.annotations.faults import IMAGE_UNREADABLE, Faults
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress

SLIGHTLY = 2
"""Pixels by which a stated size may be off: tools round, and count from 0 or 1."""


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


def normal(path: Path) -> Path:
    """Return an absolute path without `..`; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def stem(name: str) -> str:
    """Return a relative path without the suffix of its file."""
    return str(PurePosixPath(name).with_suffix(""))


def read_sizes(
    names: Iterable[str], folder: Path, progress: Progress, faults: Faults
) -> dict[str, tuple[int, int]]:
    """Return the upright (width, height) of image files by name; only their headers are read.

    Files that are no images are left out, and noted as faults.

    Raises:
        AnnotationError: naming the file that is no image, in strict reading.
    """
    wanted = list(names)
    sizes = {}
    for done, name in enumerate(wanted, start=1):
        with faults.left_out(IMAGE_UNREADABLE, name):
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


def link_images(
    names: Iterable[str], source: Path, target: Path, progress: Progress = no_progress
) -> None:
    """Put the images `names` of the folder `source` into the folder `target`.

    What is there already with the same content stays; an image that was replaced in `source` is
    replaced.

    Args:
        names: relative to both folders, with forward slashes.
        source: the folder that holds them.
        target: made when it does not exist.
        progress: called after every image.
    """
    wanted = list(names)
    target.mkdir(parents=True, exist_ok=True)
    progress("linking images", 0, len(wanted))
    for done, name in enumerate(wanted, start=1):
        if not (target / name).exists() or not filecmp.cmp(source / name, target / name):
            _link(source / name, target / name)
        progress("linking images", done, len(wanted))


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


def _link(source: Path, target: Path) -> None:
    with atomic_path(target, durable=False) as temporary:
        temporary.unlink(missing_ok=True)  # of a crashed process that had the same number
        try:
            os.link(source.resolve(), temporary)  # resolved: a link to a symbolic link may dangle
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, temporary)  # with its time, so that the next comparison is quick
