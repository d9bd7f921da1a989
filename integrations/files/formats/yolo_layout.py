"""The layout of a YOLO folder: images, labels and class names.

Class names are in `data.yaml`, or in `classes.txt` with one name per line; Darknet has its own
files.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsedet.annotations.faults import Faults, strictly
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.reading import MOST_SETTINGS, quoted, read_text
from sparsedet.wording import counted

from .darknet_layout import find_darknet, is_darknet
from .image_folders import list_files, stem
from .other_tools.file_kinds import head_of
from .yolo_label_files import IMAGES, LABELS, find_label_files
from .yolo_splits import data_folder, images_below, read_splits, tried_folders

DATA = "data.yaml"

_CLASSES = "classes.txt"
_MOST_DIGITS = 9
"""Maximum digits of a class index."""
_DATA_FILES = (DATA, "data.yml", "dataset.yaml", "dataset.yml")
_YAML = frozenset({".yaml", ".yml"})
_NAMES = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class YoloFolder:
    """A YOLO folder: its images and their label files."""

    root: Path
    names: Mapping[int, str]
    """Class index -> class name."""
    images: Path
    """The image folder: `images/` if it contains all images, else the folder itself."""
    labels: Mapping[str, Path]
    """Image, relative to `images` -> its label file, which need not exist."""
    splits: Mapping[str, frozenset[str]]
    """Split -> its images."""


def is_yolo(path: Path) -> bool:
    """Whether a folder or yaml file looks like a YOLO dataset."""
    if _data_file(path) is not None or is_darknet(path):
        return True
    if not path.is_dir() or _classes_file(path) is None:
        return False
    entries = list(path.iterdir())
    if any(entry.is_dir() and entry.name.lower() == LABELS for entry in entries):
        return True
    # LabelImg writes labels next to the images.
    texts = {stem(entry.name) for entry in entries if entry.suffix == ".txt"}
    return any(
        stem(entry.name) in texts for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES
    )


def find_yolo(path: Path, images: Path | None = None, faults: Faults | None = None) -> YoloFolder:
    """Return the layout of a YOLO dataset.

    Labels are found by `yolo_label_files`. Paths in `data.yaml` can't leave its folder, or the one
    where its `path` leads.

    Args:
        path: a folder, or its yaml file.
        images: the image folder, if it is not the usual one.
        faults: records images in lists of splits that don't exist; None: they are errors.

    Raises:
        AnnotationError: naming the file and the fault in it.
    """
    faults = faults or strictly(path)
    data = _data_file(path)
    root = path if path.is_dir() else path.parent
    darknet = find_darknet(path, images) if data is None else None
    if data is not None:
        content, names = _read_names(data)
        root = root if images else data_folder(data, content)
    elif darknet is not None:
        content, names = {}, _read_classes(darknet.names)
    elif (classes := _classes_file(root)) is not None:
        content, names = {}, _read_classes(classes)
    else:
        raise AnnotationError(f"{path}: no {DATA} or {_CLASSES} with the class names here")
    if images is not None:
        inner = _images(images)
        labels = find_label_files(root, images, inner)
        listed = darknet.splits if darknet else {}
        return YoloFolder(root, names, images, labels, listed or _splits_by_folder(inner))
    splits = read_splits(root, data, content, faults) if data else {}
    if darknet is not None:
        splits = dict(darknet.splits)
    everything = sorted(set().union(*splits.values()) if splits else _all_images(root))
    if not everything:
        tried = " or ".join(map(str, tried_folders(data, content))) if data else ""
        elsewhere = f", and none in {tried}, where its `path` leads" if tried else ""
        raise AnnotationError(
            f"{data or root}: no images in {root / IMAGES}{elsewhere}; put them there, or pass "
            "their folder with --images"
        )
    top = next((name for name in _image_folders(root) if _are_below(name, everything)), ".")
    inner = [posixpath.relpath(name, top) for name in everything]
    own = {
        split: frozenset(posixpath.relpath(name, top) for name in members)
        for split, members in splits.items()
    }
    labels = find_label_files(root, root / top, inner)
    return YoloFolder(root, names, root / top, labels, own or _splits_by_folder(inner))


def _image_folders(root: Path) -> list[str]:
    """Return the folders `images` of a dataset, ignoring case."""
    return sorted(p.name for p in root.iterdir() if p.is_dir() and p.name.lower() == IMAGES)


def _all_images(root: Path) -> list[str]:
    """Return the images of a dataset without splits in its yaml: those in `images`, else all."""
    for folder in _image_folders(root):
        if found := images_below(root, folder):
            return found
    return images_below(root, ".")


def _are_below(folder: str, names: Iterable[str]) -> bool:
    return all(name.startswith(f"{folder}/") for name in names)


def _splits_by_folder(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the splits given by the images' first folders, if all of them name splits."""
    splits: dict[str, set[str]] = {}
    for name in names:
        first, _, rest = name.partition("/")
        if not rest or first.lower() not in SPLIT_NAMES:
            return {}
        splits.setdefault(canonical_split(first), set()).add(name)
    return {split: frozenset(members) for split, members in splits.items()}


def _data_file(path: Path) -> Path | None:
    """Return the yaml file of a dataset, which may have any name if no other has class names."""
    if path.is_file():
        return path if path.suffix.lower() in _YAML else None
    if not path.is_dir():
        return None
    for name in _DATA_FILES:
        if (path / name).is_file():
            return path / name
    folders = {entry.name.lower() for entry in path.iterdir() if entry.is_dir()}
    if folders.isdisjoint((IMAGES, *SPLIT_NAMES)):
        return None
    files = [
        file
        for file in path.iterdir()
        if file.suffix.lower() in _YAML and not file.name.startswith(".") and file.is_file()
    ]
    named = [file for file in files if _NAMES.search(head_of(file, MOST_SETTINGS))]
    return named[0] if len(named) == 1 else None


def _classes_file(root: Path) -> Path | None:
    """Return the file of class names: in the folder, or in those of the labels, as of LabelImg.

    Raises:
        AnnotationError: if the files of several label folders differ.
    """
    if own := _classes_in(root):
        return own
    labels = [folder for folder in _folders(root) if folder.name.lower() == LABELS]
    places = labels + [inner for folder in labels for inner in _folders(folder)]
    found = [file for place in places if (file := _classes_in(place)) is not None]
    different = {read_text(file).rstrip(): file for file in found}
    if len(different) > 1:
        files = " and ".join(str(file) for file in different.values())
        raise AnnotationError(f"{root}: the class names in {files} differ; put one into {root}")
    return found[0] if found else None


def _classes_in(folder: Path) -> Path | None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower() == _CLASSES]
    return next((folder / name for name in sorted(names) if (folder / name).is_file()), None)


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        # A link that leads to itself can't be followed.
        inner = [e.path for e in entries if e.is_dir(follow_symlinks=False) or e.is_symlink()]
    return sorted(path for path in map(Path, inner) if path.is_dir())


def _read_names(path: Path) -> tuple[Mapping[str, Any], dict[int, str]]:
    """Return the content of `data.yaml`, and its class names by their index.

    Raises:
        AnnotationError: if it is not YAML, has no valid names, or describes keypoints.
    """
    from sparsedet.yaml_reading import read_yaml

    try:
        content = read_yaml(path)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    # An empty list or object is what data without classes has.
    if not isinstance(content, dict) or content.get("names") in (None, ""):
        raise AnnotationError(f"{path}: has no `names` of classes")
    if "kpt_shape" in content:
        raise AnnotationError(f"{path}: describes keypoints (kpt_shape), sparsedet reads boxes")
    raw = content["names"]
    if isinstance(raw, list):
        raw = dict(enumerate(raw))
    if not isinstance(raw, dict):
        raise AnnotationError(
            f"{path}: names is {quoted(raw)}, expected a list or `index: name` pairs"
        )
    names = {_index(path, key): _name(path, value) for key, value in raw.items()}
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        classes = counted(len(names), "class")
        raise AnnotationError(f"{path}: nc is {count}, but names has {classes}")
    _check_unique(path, names)
    return content, dict(sorted(names.items()))


def _read_classes(path: Path) -> dict[int, str]:
    """Return the class names of `classes.txt` by index, the line number from 0.

    Raises:
        AnnotationError: if two classes share a name, or there are none.
    """
    lines = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if not lines or not all(lines):
        raise AnnotationError(f"{path}: an empty line where a class name should be")
    names = dict(enumerate(lines))
    _check_unique(path, names)
    return names


def _index(path: Path, key: object) -> int:
    text = str(key)
    if isinstance(key, bool) or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise AnnotationError(
            f"{path}: names has the class index {quoted(key)}, expected 0, 1, 2, ..."
        )
    return int(text)


def _name(path: Path, value: object) -> str:
    # YAML reads `no` as a boolean and 1.10 as 1.1.
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise AnnotationError(f"{path}: names has {quoted(value)}, which is not text; quote it")
    return str(value)


def _check_unique(path: Path, names: Mapping[int, str]) -> None:
    first: dict[str, int] = {}
    for index, name in names.items():
        if first.setdefault(name, index) != index:
            raise AnnotationError(f"{path}: classes {first[name]} and {index} are both {name!r}")


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such image folder (--images)")
    return list_files(folder, IMAGE_SUFFIXES)
