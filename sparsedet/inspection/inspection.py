"""Inspect a dataset: read it with all its faults, its splits, and every image."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset, read_upright
from sparsedet.annotations import faults as kinds
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import ALL_SPLITS, choose_split, load_format, read_dataset
from sparsedet.inspection.figures import figures
from sparsedet.loop.data_sources import format_of
from sparsedet.push_modes import Progress, no_progress
from sparsedet.runtime.resources import usable_cores

_AHEAD = 4
"""Number of images per thread to decode ahead: their pixels are not kept."""


@dataclass(frozen=True, slots=True)
class Part:
    """A split, or all of a dataset without splits."""

    dataset: Dataset
    images: Path | None
    """The folder that file names are relative to; None if none was found."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A dataset's content, and its faults."""

    source: Path
    format: str
    """Its name in the entry point group `sparsedet.formats`."""
    title: str
    """The format's name, as text."""
    whole: Part
    """All usable data, of all splits or of the requested one."""
    splits: Mapping[str, Part]
    """The splits, if there are several; empty if one was requested."""
    faults: Faults

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON, with all faults."""
        images = self.whole.images
        return {
            "source": str(self.source),
            "format": self.format,
            "images_folder": None if images is None else str(images),
            **figures(self.whole.dataset).as_json(),
            "splits": {name: figures(part.dataset).as_json() for name, part in self.splits.items()},
            "faults": self.faults.as_json(),
        }


def inspect_data(
    path: Path,
    *,
    images: Path | None = None,
    split: str | None = None,
    decode: bool = True,
    progress: Progress = no_progress,
) -> Inspection:
    """Return a dataset's content and all of its faults.

    Args:
        path: a file or folder of any installed format.
        images: the image folder, if not in the usual location.
        split: inspect only this split.
        decode: whether to decode images, which finds truncated ones.
        progress: called for progress reports.

    Raises:
        AnnotationError: when there is nothing to inspect.
    """
    if not path.exists():
        raise AnnotationError(f"{path}: no such file or folder")
    name = format_of(path)
    faults = Faults(path)
    choice = choose_split(path, name, split, images=images)
    loaded = read_dataset(
        path, format=name, images=images, split=choice.taken, faults=faults, progress=progress
    )
    whole = Part(loaded.dataset, loaded.images)
    if whole.images is not None and decode:
        whole = Part(_decodable(whole.dataset, whole.images, faults, progress), whole.images)
    _look_at_boxes(whole.dataset, faults)
    _look_at_classes(whole.dataset, faults)
    there = choice.there if split in (None, ALL_SPLITS) else ()
    unusable = _unusable(loaded.images, loaded.dataset, whole.dataset)
    splits = {one: _part(path, name, one, images, unusable, faults) for one in there}
    title = load_format(name).title
    return Inspection(path, name, title, whole, splits, faults)


def repeated_boxes(dataset: Dataset) -> Iterator[Box]:
    """Yield the boxes that repeat the class and position of an earlier one on their image.

    A crowd region is no box: it may be where an object is.
    """
    known: set[tuple[int, int, tuple[float, ...]]] = set()
    for box in dataset.boxes:
        if box.iscrowd:
            continue
        key = box.image_id, box.category_id, tuple(round(value, 1) for value in box.xyxy)
        if key in known:
            yield box
        known.add(key)


def _part(
    path: Path,
    format: str,
    split: str,
    images: Path | None,
    unusable: frozenset[Path],
    faults: Faults,
) -> Part:
    """Return a split without undecodable images."""
    own = Faults(path)
    loaded = read_dataset(path, format=format, images=images, split=split, faults=own)
    # Most faults were recorded when everything was read, but not those of a list of its images.
    known = {(fault.kind, fault.where) for fault in faults.found}
    faults.found += [fault for fault in own.found if (fault.kind, fault.where) not in known]
    folder = loaded.images
    if folder is None:
        return Part(loaded.dataset, None)
    kept = (i for i in loaded.dataset.images if (folder / i.file_name).resolve() not in unusable)
    return Part(loaded.dataset.with_images(kept), folder)


def _unusable(folder: Path | None, before: Dataset, after: Dataset) -> frozenset[Path]:
    if folder is None:
        return frozenset()
    gone = (i for i in before.images if i.id not in after.image_by_id)
    return frozenset((folder / image.file_name).resolve() for image in gone)


def _decodable(dataset: Dataset, folder: Path, faults: Faults, progress: Progress) -> Dataset:
    """Return a dataset without images whose pixels can't be read."""

    def problem(name: str) -> str | None:
        try:
            read_upright(folder / name)
        except AnnotationError as error:
            return str(error)
        return None

    kept = []
    threads = usable_cores()
    total = len(dataset.images)
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, total, threads * _AHEAD):
            some = dataset.images[first : first + threads * _AHEAD]
            reasons = pool.map(problem, [image.file_name for image in some])
            for image, reason in zip(some, reasons, strict=True):
                if reason is None:
                    kept.append(image)
                else:
                    where = f"images id {image.id} ({image.file_name})"
                    faults.note(kinds.IMAGE_UNREADABLE, where, reason)
            progress("decoding images", min(first + len(some), total), total)
    return dataset if len(kept) == total else dataset.with_images(kept)


def _look_at_boxes(dataset: Dataset, faults: Faults) -> None:
    names = dataset.image_by_id
    for box in repeated_boxes(dataset):
        where = f"annotations id {box.id}"
        message = f"{faults.source}: {where}: is on {names[box.image_id].file_name} twice"
        faults.note(kinds.BOX_REPEATED, where, message)


def _look_at_classes(dataset: Dataset, faults: Faults) -> None:
    alike: dict[str, list[str]] = defaultdict(list)
    for category in dataset.categories:
        # macOS writes some letters as two characters.
        name = unicodedata.normalize("NFC", category.name).casefold()
        alike["".join(unicodedata.normalize("NFC", name).split())].append(category.name)
    for names in alike.values():
        if len(names) > 1:
            same = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
            where = " / ".join(ascii(name) if same else repr(name) for name in names)
            message = f"{faults.source}: classes {where} may be one; rename them"
            faults.note(kinds.CLASS_ALIKE, where, message)
