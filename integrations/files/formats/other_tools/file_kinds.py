"""Detects the tool that wrote a file from its start and end, and lists files of a folder."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.loop.workspace import Workspace

from ..image_folders import FolderLinks, is_file, list_files

JsonKind = Literal["labelme", "createml", "label-studio", "via"]

_HEAD = 2**16
"""Leading bytes that identify a file."""
_TAIL = 2**12
"""Trailing bytes: LabelMe's encoded image may come before everything else."""
_DEEPEST = 3
"""Maximum depth of a dataset's files."""
_MOST_SHOWN = 20
"""Maximum number of files to inspect per kind."""
_MOST_ENTRIES = 20_000
"""Maximum entries of a folder to list, so that detection is fast."""

_OBJECT_MARKS: tuple[tuple[JsonKind, bytes], ...] = (
    ("via", rb'"_via_img_metadata"\s*:|"shape_attributes"\s*:|"regions"\s*:\s*[\[{]'),
    ("labelme", rb'"shapes"\s*:|"imagePath"\s*:'),
)
_LIST_MARKS: tuple[tuple[JsonKind, bytes], ...] = (
    ("label-studio", rb'"result"\s*:\s*\[|"data"\s*:\s*\{|"annotation_id"\s*:|"file_upload"\s*:'),
    ("createml", rb'"coordinates"\s*:|"image(?:filename)?"\s*:\s*"[^"]*"\s*,\s*"[^"]*annotation'),
)
_NO_LABELME = re.compile(rb'"categories"\s*:|"images"\s*:')
"""Keys of COCO files, which may also have keys of other tools."""


def json_kind(path: Path) -> JsonKind | None:
    """Return which tool wrote a JSON file; None for COCO or if unknown."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    head, tail = _ends(path)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"{":
        if _NO_LABELME.search(head):
            return None
        return next((kind for kind, mark in _OBJECT_MARKS if re.search(mark, head + tail)), None)
    if first == b"[":
        return next((kind for kind, mark in _LIST_MARKS if re.search(mark, head + tail)), None)
    return None


def has_json(path: Path, kind: JsonKind) -> bool:
    """Whether a file, or one of the first files of a folder, was written by a tool."""
    files = [path] if path.is_file() else first_files(path, ".json")
    return any(json_kind(file) == kind for file in files)


def json_files(path: Path, kind: JsonKind) -> list[Path]:
    """Return the file, or all files of a folder, written by a tool."""
    files = [path] if path.is_file() else all_files(path, ".json")
    return [file for file in files if json_kind(file) == kind]


def all_files(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder and its sub-folders, sorted, upper ones first.

    Args:
        folder: where to look.
        suffix: suffix in lower case, with the dot.
    """
    if not folder.is_dir():
        return []
    return _upper_first(folder / name for name in list_files(folder, {suffix}))


def first_files(folder: Path, suffix: str) -> list[Path]:
    """Return a few files of a folder and its sub-folders, to detect its format by.

    They are sorted, upper ones first. Workspaces are skipped.

    Args:
        folder: where to look.
        suffix: suffix in lower case, with the dot.
    """
    found: list[Path] = []
    if Workspace(folder).settings_file.is_file():
        return found
    for entry in _walk(folder, _DEEPEST, FolderLinks(folder)):
        if entry.suffix.lower() == suffix:
            found.append(entry)
            if len(found) == _MOST_SHOWN:
                break
    return _upper_first(found)


def split_of(file: Path, root: Path) -> str:
    """Return the split that the folders of a file, below `root`, or its name contain."""
    folder = file.parent.relative_to(root).as_posix().lower()
    words = (*folder.split("/"), *file.stem.lower().replace("-", "_").split("_"))
    return next((canonical_split(word) for word in words if word in SPLIT_NAMES), "")


def candidate_names(folder: str, image: str) -> list[str]:
    """Return what the name of an image in a file may mean, relative to the dataset's folder.

    Args:
        folder: the file's folder, relative to the dataset's.
        image: the name, with forward slashes.
    """
    return list(dict.fromkeys((posixpath.normpath(posixpath.join(folder, image)), image)))


def head_of(path: Path, size: int = _HEAD) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(size)


def _upper_first(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: (len(file.parts), file))


def _walk(folder: Path, depth: int, links: FolderLinks) -> Iterator[Path]:
    """Yield files, those of a folder before those of its sub-folders."""
    if not folder.is_dir():
        return
    inner = []
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number > _MOST_ENTRIES:
                break
            if entry.name.startswith("."):
                continue
            if links.follow(entry):
                inner.append(Path(entry.path))
            elif is_file(entry):
                yield Path(entry.path)
    if depth:
        for path in sorted(inner):
            yield from _walk(path, depth - 1, links)


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(len(head), path.stat().st_size - _TAIL))
        return head, file.read()
