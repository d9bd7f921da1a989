"""Finds the label file of each image of a YOLO dataset.

Ultralytics uses one rule: the last folder `images` in an image's path is `labels` in that of its
label file. If that finds none, they are searched where other tools put them. If there are none at
all, that is an error: a dataset needs at least one box.
"""

import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from sparsedet.annotations.image_names import without_upload_hash
from sparsedet.errors import AnnotationError
from sparsedet.wording import counted

from .alike_names import alike, only
from .image_folders import is_listed, list_files, normal, stem
from .once import warn_once

IMAGES, LABELS = "images", "labels"

_NO_LABELS = frozenset({"classes.txt", "labels.txt", "readme.txt", "requirements.txt"})
"""Other text files found next to labels."""
_COLUMNS = 5
"""Columns of a box; outlines have more."""

_Rule = Callable[[str], str]
"""Image -> its label file, both relative to the dataset's folder, which they may leave."""


def label_file(image: str) -> str:
    """Return the label file of an image; both are relative to the dataset's folder."""
    parts = list(PurePosixPath(stem(image)).parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part.lower() == IMAGES]
    if folders:
        parts[folders[-1]] = LABELS
    return "/".join(parts) + ".txt"


def find_label_files(root: Path, images: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the label file of every image; not all need to exist.

    Args:
        root: the dataset's folder.
        images: the image folder.
        names: the images, relative to it.

    Raises:
        AnnotationError: if no image has one, naming the searched folders.
    """
    search = _Search(root, images)
    found = search.by_rules(names)
    if not any(found.values()):
        found = search.by_name(names)
    if not any(found.values()):
        search.refuse(names)
    return {name: found[name] or root / search.usual(name) for name in names}


def unused_label_files(root: Path, images: Path, used: Mapping[str, Path]) -> list[Path]:
    """Return label files without an image, in the folders of used ones."""
    search = _Search(root, images)
    taken = {normal(path) for path in used.values()}
    folders = {path.parent for path in taken if path.is_file()}
    paths = (search.root / file for file in search.files)
    return [
        path
        for path in paths
        if (whole := normal(path)).parent in folders and whole not in taken and _is_labels(path)
    ]


def with_unlisted_images(
    paths: Sequence[Path], images: Path, used: Mapping[str, Path]
) -> list[Path]:
    """Return the label files of images that exist, but are in no split of the data.

    Args:
        paths: label files that belong to no image of the data.
        images: the image folder.
        used: image of the data -> its label file.
    """
    if not paths:
        return []
    folders: dict[Path, set[Path]] = defaultdict(set)
    for name, path in used.items():
        folders[normal(path).parent].add(normal(images / name).parent)
    there = {
        folder: {
            alike(file.stem)
            for file in folder.iterdir()
            if is_listed(file.name) and file.is_file()  # not a link to nothing
        }
        for folder in set().union(*(folders[normal(path).parent] for path in paths))
    }
    return [
        path
        for path in paths
        if any(alike(path.stem) in there[folder] for folder in folders[normal(path).parent])
    ]


class _Search:
    """Searches for label files in a dataset's folder and near its images."""

    def __init__(self, root: Path, images: Path) -> None:
        self.root = root
        self.base = normal(root)
        self._images = normal(images)
        self._prefix = Path(os.path.relpath(self._images, self.base)).as_posix()

    @cached_property
    def files(self) -> list[str]:
        """All potential label files, relative to the dataset's folder."""
        found = dict.fromkeys(list_files(self.root, {".txt"}, dangling=True))
        near = [self._images, self._images.parent / LABELS]
        for folder in near:
            if folder.is_dir() and not folder.is_relative_to(self.base):
                prefix = Path(os.path.relpath(folder, self.base)).as_posix()
                # An enclosing folder also contains the dataset's files.
                found |= {
                    f"{prefix}/{name}": None
                    for name in list_files(folder, {".txt"}, dangling=True)
                    if not (folder / name).is_relative_to(self.base)
                }
        return [name for name in found if posixpath.basename(name).lower() not in _NO_LABELS]

    @cached_property
    def _alike(self) -> dict[str, str]:
        """The files by names that they are alike to."""
        return only(self.files)

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(self.files)

    def usual(self, name: str) -> str:
        """Return the label file of an image according to Ultralytics' rule."""
        return label_file(posixpath.normpath(f"{self._prefix}/{name}"))

    def rules(self) -> list[_Rule]:
        """Return rules for finding labels, the likeliest first."""
        rules: list[_Rule] = [
            self.usual,
            lambda name: f"{LABELS}/{stem(name)}.txt",
            lambda name: posixpath.normpath(f"{self._prefix}/{stem(name)}.txt"),
        ]
        if self._images != self.base:
            folder = posixpath.normpath(f"{self._prefix}/../{LABELS}")
            rules.append(lambda name: f"{folder}/{stem(name)}.txt")
        return rules

    def by_rules(self, names: Sequence[str]) -> dict[str, Path | None]:
        """Return the labels found by one rule per image folder: the first that finds any."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in names:
            folders[posixpath.dirname(name)].append(name)
        found: dict[str, Path | None] = dict.fromkeys(names)
        for members in folders.values():
            for rule in self.rules():
                own = self._paths({name: rule(name) for name in members})
                if any(own.values()):
                    found |= own
                    break
        return found

    def by_name(self, names: Sequence[str]) -> dict[str, Path | None]:
        """Return label files with the same name as an image in any folder, if unique.

        Those of uploads to Label Studio, which can export them without images, have a prefix.
        """
        same: dict[str, list[str]] = defaultdict(list)
        prefixed: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            if _is_labels(self.root / file):
                own_name = PurePosixPath(file).stem
                same[alike(own_name)].append(file)
                prefixed[alike(without_upload_hash(own_name))].append(file)
        found: dict[str, Path | None] = {}
        for name in names:
            key = alike(PurePosixPath(name).stem)
            own = same.get(key) or prefixed.get(key, [])
            # Of several, the one in the same folder: labels of `train/a.jpg` in `txt/train/a.txt`.
            inner = [file for file in own if alike(file).endswith(alike(f"/{stem(name)}.txt"))]
            one = own if len(own) == 1 else inner
            found[name] = self.root / one[0] if len(one) == 1 else None
        if used := sorted({str(path.parent) for path in found.values() if path}):
            warn_once(f"{self.root}: used the labels in {', '.join(used[:3])}")
        return found

    def refuse(self, names: Sequence[str]) -> None:
        """Raise the error that no labels were found, with what there is instead."""
        places = dict.fromkeys(posixpath.dirname(rule(names[0])) or "." for rule in self.rules())
        labels = [file for file in self.files if _is_labels(self.root / file)]
        folders = sorted({posixpath.dirname(file) or "." for file in labels})[:3]
        hint = (
            f"{counted(len(labels), 'is', 'are')} in {', '.join(folders)}, with other names than "
            "the images"
            if labels
            else "an image without objects has an empty one"
        )
        raise AnnotationError(
            f"{self.root}: {counted(len(names), 'image')}, but no label file (looked for "
            f"{PurePosixPath(names[0]).stem}.txt in {', '.join(places)}); {hint}"
        )

    def _paths(self, wanted: Mapping[str, str]) -> dict[str, Path | None]:
        """Return the label files of images, where they exist under these names or alike ones."""
        taken = self._exact.intersection(wanted.values())
        found: dict[str, Path | None] = {}
        for name, file in wanted.items():
            other = self._alike.get(alike(file))
            one = file if file in self._exact else None if other in taken else other
            found[name] = None if one is None else self.root / one
        return found


def _is_labels(path: Path) -> bool:
    """Whether the first line of a file is a box or an outline; empty files may be labels too."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            columns = file.readline().split()
        return not columns or len([float(text) for text in columns]) >= _COLUMNS
    except (OSError, ValueError):
        return False
