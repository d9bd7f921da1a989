"""COCO: a JSON file with an image folder, a workspace or project folder, or a folder of splits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.coco import from_coco, read_content
from sparsedet.annotations.faults import Faults, strictly
from sparsedet.annotations.foreign import foreign_format
from sparsedet.annotations.images import upright_size
from sparsedet.annotations.repair import SizeOf
from sparsedet.atomic_io import without_collector
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded, match_split
from sparsedet.loop.workspace import Workspace, locate
from sparsedet.push_modes import Progress, no_progress
from sparsedet.wording import counted, first_of

from .coco_images import checked_files, plain_names, with_names_of
from .coco_layout import CocoPart, find_images, find_parts, names_in, unread_files
from .coco_merge import merged
from .image_folders import link_images
from .once import warn_once
from .other_tools.file_kinds import json_kind
from .voc_layout import find_voc
from .yolo_layout import is_yolo


class CocoFormat:
    """COCO, sparsedet's own format; see `sparsedet.annotations.coco`.

    Folders are written as `annotations.json` and `images/`: a project for `--tool files`.
    """

    title = "COCO"
    layout = "a .json file, or a folder with annotations.json or a .json file per split"
    needs_images = False
    lists_classes = True
    can_write = True
    holds_scores = True

    def detect(self, path: Path) -> bool:
        """Whether this is a JSON file, a workspace, or a folder of COCO files.

        VOC and YOLO folders may also contain JSON files, for example with notes.
        """
        if path.is_file():
            return path.suffix.lower() == ".json" and json_kind(path) is None
        if not path.is_dir():
            return False
        folder = Workspace(path)
        if folder.settings_file.is_file():
            return True
        if folder.annotations.is_file():
            return json_kind(folder.annotations) is None
        return bool(find_parts(path)) and not is_yolo(path) and find_voc(path) is None

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits that have separate files."""
        parts = find_parts(path) if path.is_dir() else []
        return [part.split for part in parts if part.split] if len(parts) > 1 else []

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        faults: Faults | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a file, or the files of a folder; a split keeps the ids of its file.

        Images are in `images` next to a file, in the enclosing workspace, next to the file itself,
        or in a folder named after the split.
        """
        parts = _chosen(path, split)
        progress("reading annotations", 0, len(parts))
        read = []
        for done, part in enumerate(parts, start=1):
            read.append((part.split or "", _read(part.file, images, faults, progress)))
            progress("reading annotations", done, len(parts))
        if len(read) == 1:
            return read[0][1]
        return merged(read, faults or strictly(path))

    def stored(self, dataset: Dataset) -> Dataset:
        """Return the dataset itself."""
        return dataset

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Return nothing: COCO can store everything."""
        return ()

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Write `annotations.json`, and the images into `images/`."""
        target = Workspace(folder)
        if images is not None:
            names = (image.file_name for image in dataset.images)
            link_images(names, images, target.images, progress)
        write_coco(dataset, target.annotations)


def _chosen(path: Path, split: str | None) -> Sequence[CocoPart]:
    """Return the files to read."""
    parts = find_parts(path) if path.is_dir() else [CocoPart(path)]
    if not parts or not parts[0].file.exists():
        locate(path, None)  # raises an error about what is missing
    if path.is_dir() and (others := unread_files(path, parts)):
        listed = first_of(file.relative_to(path).as_posix() for file in others)
        files = counted(len(others), "COCO file is", "COCO files are")
        warn_once(f"{path}: {files} not read: {listed}; pass a file itself to read it")
    if split is None:
        return parts
    known = [part.split for part in parts if part.split]
    if not known:
        raise AnnotationError(f"{path}: has no splits; leave --split out")
    wanted = match_split(split, known)
    if wanted is None:
        raise AnnotationError(f"{path}: no split {split!r} (found: {', '.join(known)})")
    return [part for part in parts if part.split == wanted]


def _read(file: Path, images: Path | None, faults: Faults | None, progress: Progress) -> Loaded:
    """Read a file and find its images, if any."""
    if images is not None and not images.is_dir():
        raise AnnotationError(f"{images}: no such image folder (--images)")
    if faults is None or faults.strict:
        dataset = read_coco(file)
        names = [image.file_name for image in dataset.images]
        folder = images or find_images(file, names)
        return Loaded(dataset if folder is None else _renamed(dataset, folder), folder)
    with without_collector():
        content = read_content(file)
        folder = images or find_images(file, plain_names(content))
        lists_images = isinstance(content, dict) and isinstance(content.get("images"), list)
        if not lists_images and (foreign := foreign_format(file)) is not None:
            raise AnnotationError(f"{file}: {foreign}")
        if lists_images and folder is not None and faults.files:
            content = with_names_of(folder, content, faults)
            content = checked_files(folder, content, faults, progress)
        dataset = from_coco(content, source=str(file), faults=faults, size_of=_size_in(folder))
    return Loaded(dataset, folder)


def _renamed(dataset: Dataset, folder: Path) -> Dataset:
    """Return a dataset with images named as in their folder; see `names_in`."""
    names = [image.file_name for image in dataset.images]
    found = names_in(folder, names)
    if all(found.get(name, name) == name for name in names):
        return dataset
    return replace(
        dataset,
        images=tuple(
            replace(image, file_name=found.get(image.file_name, image.file_name))
            for image in dataset.images
        ),
    )


def _size_in(folder: Path | None) -> SizeOf:
    """Return a function for the size of an image in a folder."""

    def size(name: str) -> tuple[int, int] | None:
        try:
            return None if folder is None else upright_size(folder / name)
        except AnnotationError:
            return None

    return size
