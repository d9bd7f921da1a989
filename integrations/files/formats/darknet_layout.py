"""Darknet's YOLO layout, as exported by CVAT ("YOLO 1.1") and Roboflow: names and image lists.

`obj.data` names the file of the class names and the lists of images; labels are next to the images.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.reading import MOST_SETTINGS, read_text

from .coco_layout import names_in
from .once import warn_once

_DATA = ".data"
_NAMES = ".names"
_ROBOFLOW = "_darknet.labels"
"""Class names in the folder of each split."""


@dataclass(frozen=True, slots=True)
class Darknet:
    """Content of Darknet's files."""

    names: Path
    """The file of class names, one per line."""
    splits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Split -> its images, relative to the image folder; empty without lists."""


def find_darknet(path: Path, images: Path | None = None) -> Darknet | None:
    """Read Darknet's files; return None if there are none.

    Args:
        path: a folder, or its `.data` file.
        images: the image folder, if it is not the folder itself.

    Raises:
        AnnotationError: if a `.data` file does not name an existing file of class names.
    """
    root = path if path.is_dir() else path.parent
    data = _data_file(path)
    if data is not None:
        values = dict(_pairs(data))
        names = _near(root, values.get("names", ""))
        if names is None:
            said = values.get("names") or "no file"
            raise AnnotationError(
                f"{data}: takes the class names from {said}, which does not exist"
            )
        return Darknet(names, _splits(root, images or root, data, values))
    if not path.is_dir():
        return None
    for pattern in (f"*{_NAMES}", _ROBOFLOW, f"*/{_ROBOFLOW}"):
        files = (file for file in path.glob(pattern) if not file.name.startswith("."))
        if found := sorted(file for file in files if file.is_file()):
            return Darknet(found[0])
    return None


def is_darknet(path: Path) -> bool:
    """Whether a folder, or a `.data` file, is Darknet's."""
    if _data_file(path) is not None:
        return True
    return path.is_dir() and find_darknet(path) is not None


def _data_file(path: Path) -> Path | None:
    """Return the file that names all others, which may have any name."""
    files = [path] if path.is_file() else sorted(path.glob(f"*{_DATA}")) if path.is_dir() else []
    for file in files:
        if file.suffix.lower() == _DATA and file.is_file():
            with file.open("rb") as opened:
                head = opened.read(MOST_SETTINGS)
            if b"\0" not in head and b"names" in head and b"=" in head:
                return file
    return None


def _pairs(data: Path) -> Iterator[tuple[str, str]]:
    for line in read_text(data, most=MOST_SETTINGS).splitlines():
        key, mark, value = line.partition("=")
        if mark and not key.lstrip().startswith("#"):
            yield key.strip().lower(), value.strip()


def _splits(
    root: Path, images: Path, data: Path, values: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """Return the images that the lists of a `.data` file name."""
    splits = {}
    for key, value in values.items():
        if key not in SPLIT_NAMES or not value:
            continue
        file = _near(root, value)
        if file is None:
            warn_once(f"{data}: {key} is {value}, which is not in {root}; left out")
            continue
        lines = [line.strip().replace("\\", "/") for line in read_text(file).splitlines()]
        listed = [line for line in lines if line]
        found = names_in(images, listed)
        if missing := [name for name in listed if name not in found]:
            warn_once(
                f"{file}: {len(missing)} of its {len(listed)} images are not in {images} (first: "
                f"{missing[0]})"
            )
        splits[canonical_split(key)] = frozenset(found.values())
    return {split: members for split, members in splits.items() if members}


def _near(root: Path, value: str) -> Path | None:
    """Find a file by its path on another machine: `data/obj.names`."""
    if not value.strip():
        return None
    name = names_in(root, [value.strip().replace("\\", "/")])
    last = PurePosixPath(value.strip().replace("\\", "/")).name
    found = next(iter(name.values()), last)
    return root / found if (root / found).is_file() else None
