"""Folders of image files: listing, sizes, links, and their label files."""

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from sparsedet.annotations import upright_size
from sparsedet.annotations.entries import is_text
from sparsedet.annotations.faults import IMAGE_UNREADABLE, Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress

from ..review_files import MARK, TO_REVIEW

SLIGHTLY = 2
"""Pixels by which a stated size may be off: tools round, and count from 0 or 1."""


def list_files(folder: Path, suffixes: Iterable[str], *, dangling: bool = False) -> list[str]:
    """Return the files below a folder, with forward slashes, sorted.

    Leaves out hidden files, most links to folders (see `FolderLinks`), workspaces (whose images
    are copies), and what is up for review (contact sheets are no images of the project).

    Args:
        folder: where to look.
        suffixes: suffixes of the wanted files, in lower case, with the dot.
        dangling: also return links to files that don't exist: the image of such a label file is not
            one without objects.
    """
    wanted = frozenset(suffixes)
    names = _walk(folder, "", FolderLinks(folder), dangling)
    return sorted(name for name in names if _suffix(name) in wanted)


def is_listed(name: str) -> bool:
    """Return whether a listing of images has this one: not hidden, with a suffix of images."""
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return not hidden and _suffix(name) in IMAGE_SUFFIXES


def is_file(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry of a folder is a file, or a link to one."""
    # `entry.is_file()` raises for links that lead to themselves.
    return entry.is_file(follow_symlinks=False) or (
        entry.is_symlink() and Path(entry.path).is_file()
    )


def is_dangling(path: Path) -> bool:
    """Return whether a path is a link to something that does not exist."""
    return path.is_symlink() and not path.exists()


def normal(path: Path) -> Path:
    """Return an absolute path without `..`, keeping links."""
    return Path(os.path.normpath(path.absolute()))


def stem(name: str) -> str:
    """Return a relative path without the suffix of its file."""
    return str(PurePosixPath(name).with_suffix(""))


def read_sizes(
    names: Iterable[str], folder: Path, progress: Progress, faults: Faults
) -> dict[str, tuple[int, int]]:
    """Return the upright (width, height) of image files by name, from their headers.

    Files that are not images, or whose names no JSON can hold, are left out and recorded as faults.

    Raises:
        AnnotationError: in strict reading, naming a file that is not an image.
    """
    wanted = list(names)
    sizes = {}
    for done, name in enumerate(wanted, start=1):
        with faults.left_out(IMAGE_UNREADABLE, name):
            if not is_text(name):
                raise AnnotationError(
                    f"{folder}: the name of the image {name!a} is not UTF-8; rename the file"
                )
            sizes[name] = upright_size(folder / name)
        progress("reading images", done, len(wanted))
    return sizes


def check_stems(names: Iterable[str], suffix: str) -> None:
    """Refuse images that would share a label file.

    Args:
        names: file names of images.
        suffix: suffix of label files.

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

    Files with the same content are kept; images that changed in `source` are replaced.

    Args:
        names: relative to both folders, with forward slashes.
        source: the folder with the images.
        target: created if missing.
        progress: called after every image.
    """
    wanted = list(names)
    target.mkdir(parents=True, exist_ok=True)
    progress("linking images", 0, len(wanted))
    for done, name in enumerate(wanted, start=1):
        if not (target / name).exists() or not filecmp.cmp(source / name, target / name):
            _link(source / name, target / name)
        progress("linking images", done, len(wanted))


class FolderLinks:
    """Decides which links to folders to follow: a part of the data may be on another disk.

    Those are followed that are named like a part of a dataset, or inside of one that is, and lead
    out of it, each place once: others could be circular, show files twice, or hold other data.

    Args:
        root: the dataset's folder.
    """

    _NAMES = frozenset({"images", "labels", "annotations", "jpegimages", "annfiles", *SPLIT_NAMES})
    _PREFIX = "labeltxt"

    def __init__(self, root: Path) -> None:
        self._root = normal(root)
        self._seen = [root.resolve()]

    def follow(self, entry: "os.DirEntry[str]") -> bool:
        """Return whether to look into a folder, which need not be a link."""
        if not entry.is_symlink():
            return entry.is_dir()
        if not Path(entry.path).is_dir():
            return False
        inner = Path(os.path.relpath(entry.path, self._root)).parts
        if not any(map(self._is_part, (self._root.name, *inner))):
            return False
        target = Path(entry.path).resolve()
        if any(target.is_relative_to(s) or s.is_relative_to(target) for s in self._seen):
            return False
        self._seen.append(target)
        return True

    def _is_part(self, name: str) -> bool:
        name = name.lower()
        return name in self._NAMES or name.startswith(self._PREFIX)


def _walk(folder: Path, prefix: str, links: FolderLinks, dangling: bool) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if links.follow(entry):
                if not _is_ours(Path(entry.path)):
                    inner = f"{prefix}{entry.name}/"
                    yield from _walk(Path(entry.path), inner, links, dangling)
            elif is_file(entry) or (dangling and is_dangling(Path(entry.path))):
                yield prefix + entry.name


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a workspace, or holds what is up for review."""
    ours = Workspace(folder).settings_file, folder / MARK, folder / TO_REVIEW
    return any(file.exists() for file in ours)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _link(source: Path, target: Path) -> None:
    with atomic_path(target, durable=False, through_link=False) as temporary:
        temporary.unlink(missing_ok=True)  # from a crashed process with the same id
        try:
            os.link(source.resolve(), temporary)  # resolved: links to links may dangle
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, temporary)  # with its time, so that the next comparison is fast
