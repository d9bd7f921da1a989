"""Records of another tool's files, and the dataset assembled from them.

Readers convert their files to records. Finding images, comparing sizes, clipping boxes and leaving
out faulty entries is the same for all of them, and is done here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sparsedet.annotations import Category, Dataset, upright_size
from sparsedet.annotations.faults import (
    BOX_BROKEN,
    IMAGE_AMBIGUOUS,
    IMAGE_BROKEN,
    IMAGE_MISSING,
    IMAGE_TWICE,
    IMAGE_UNREADABLE,
    SIZE_OFF,
    SIZE_WRONG,
    Faults,
    FaultyEntryError,
)
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.annotations.images import turned_hint
from sparsedet.errors import AnnotationError, UnreadableImageError
from sparsedet.formats import canonical_split
from sparsedet.push_modes import Progress
from sparsedet.reading import quoted

from ..alike_names import alike
from ..coco_layout import find_images, names_in
from ..conversion import Clipper, LabelledBox, LabelledImage, to_dataset
from ..image_folders import SLIGHTLY, list_files, read_sizes

Size = tuple[int, int]
"""Width and height in pixels, upright."""

_SLACK = 1.0
"""Pixels by which boxes may silently reach over the edge: tools round, some to integers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of an image, read lazily: its box may depend on the size of the image."""

    where: str
    """Name for errors, such as `file: image: object 3`."""
    read: Callable[[Size], LabelledBox]
    """Its box, in absolute pixels of the upright image; raises AnnotationError without one."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image in a file."""

    where: str
    """Name for errors."""
    names: Sequence[str]
    """Candidate names of the image, relative to the image folder, the likeliest first."""
    entries: Sequence[Entry]
    size: Size | None = None
    """Size stored in the file."""
    stem: str | None = None
    """Name without suffix that identifies the image if none of the names exists."""
    near: str = ""
    """Its folder, if several images have that stem."""
    split: str = ""
    """Its split under any name; empty without one."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Records:
    """Content of the files of a folder."""

    anchor: Path
    """A file, which need not exist; images are searched around it."""
    records: Sequence[Record]
    classes: Sequence[str] = ()
    """Listed classes in order; others follow by name."""
    class_keys: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other keys of classes, by name."""
    images: Path | None = None
    """The image folder, if the format defines it."""
    usual_images: Path | None = None
    """The image folder to use if no other one has any of the images."""
    unread: frozenset[str] = frozenset()
    """Stems of images whose label file is unreadable."""
    lists_images: bool = True
    """Whether images without a record are excluded; otherwise they have no boxes."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A dataset, its image folder, and its splits."""

    dataset: Dataset
    images: Path | None
    splits: Mapping[str, frozenset[str]]
    """Split, by its usual name -> the file names of its images."""


def assemble(
    found: Records, images: Path | None, source: Path, faults: Faults, progress: Progress
) -> Assembled:
    """Assemble the dataset from records.

    Args:
        found: the records.
        images: the image folder given by the user.
        source: the file or folder that was read, for messages.
        faults: records what is left out.
        progress: called as the work advances.
    """
    if images is not None and not images.is_dir():
        raise AnnotationError(f"{images}: no such image folder (--images)")
    names = [name for record in found.records for name in record.names]
    folder = images or found.images or find_images(found.anchor, names) or found.usual_images
    finder = _Finder(folder, found.records)
    clipper = Clipper(source, faults)
    read: dict[str, LabelledImage] = {}
    splits: dict[str, set[str]] = defaultdict(set)
    left_out: set[str] = set()
    for done, record in enumerate(found.records, start=1):
        with faults.left_out(IMAGE_BROKEN, _place(record.where, source)):
            name = _text(finder.name(record, faults), record.where)
            # An image that is left out is not an image without objects.
            left_out.add(name)
            size = _size(record, name, folder, faults)
            image = LabelledImage(
                name, *size, _boxes(record, size, source, clipper, faults), record.extra
            )
            read[name] = _joined(read[name], image, record, faults) if name in read else image
            if record.split:
                splits[canonical_split(record.split)].add(name)
        progress("reading annotations", done, len(found.records))
    if not found.lists_images and folder is not None:
        bare = {
            name
            for name in finder.images_around(read) - left_out - finder.ambiguous
            if PurePosixPath(name).stem not in found.unread
        }
        sizes = read_sizes(sorted(bare), folder, progress, faults)
        read |= {name: LabelledImage(name, *size, ()) for name, size in sizes.items()}
        for name, split in _splits_of_folders(splits, sizes).items():
            splits[split].add(name)
    clipper.warn()
    dataset = to_dataset(read.values(), _categories(found, read.values()))
    faults.kept(len(dataset.images), len(dataset.boxes))
    return Assembled(dataset, folder, {name: frozenset(own) for name, own in splits.items()})


class _Finder:
    """Finds the images of records in a folder."""

    def __init__(self, folder: Path | None, records: Sequence[Record]) -> None:
        self._folder = folder
        self._found = _found_names(folder, records) if folder is not None else {}
        self.ambiguous: set[str] = set()
        """Images that a record may be of, among others."""
        self._files: list[str] | None = None
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_alike: dict[str, list[str]] = defaultdict(list)

    def name(self, record: Record, faults: Faults) -> str:
        """Return the file name of a record's image.

        Raises:
            AnnotationError: if it is missing but needed, or ambiguous.
        """
        if self._folder is None:
            return _plain(record)
        for name in record.names:
            if name in self._found:
                return self._found[name]
        same = self._same_stem(record)
        if len(same) == 1:
            return same[0]
        if same:
            self.ambiguous.update(same)
            raise FaultyEntryError(
                IMAGE_AMBIGUOUS, f"{record.where}: its image may be {' or '.join(same)}"
            )
        if not faults.files and record.size is not None:
            return _plain(record)
        wanted = record.names[0] if record.names else f"{record.stem}.*"
        raise FaultyEntryError(
            IMAGE_MISSING,
            f"{record.where}: {wanted} is not in {self._folder}; is this the folder of the images "
            "(--images)?",
        )

    def images_around(self, names: Iterable[str]) -> set[str]:
        """Return all images of the folders that contain some of these."""
        folders = {PurePosixPath(name).parent for name in names}
        return {name for name in self._all() if PurePosixPath(name).parent in folders}

    def _same_stem(self, record: Record) -> list[str]:
        if record.stem is None:
            return []
        if not self._by_stem:
            for name in self._all():
                self._by_stem[PurePosixPath(name).stem].append(name)
                self._by_alike[alike(PurePosixPath(name).stem)].append(name)
        wanted = PurePosixPath(record.stem).name
        same = self._by_stem.get(wanted) or self._by_alike.get(alike(wanted), [])
        near = [name for name in same if f"/{name}".startswith(f"/{record.near}/")]
        return near if len(same) > 1 and record.near and near else same

    def _all(self) -> list[str]:
        if self._files is None:
            folder = self._folder
            self._files = [] if folder is None else list_files(folder, IMAGE_SUFFIXES)
        return self._files


def _found_names(folder: Path, records: Sequence[Record]) -> dict[str, str]:
    """Return names of files in a folder by the names that records give their images."""
    found = dict(names_in(folder, [name for record in records for name in record.names]))
    # Several names of one record may lead to the same file, which `names_in` gives to none then.
    for place in range(max((len(record.names) for record in records), default=0)):
        left = [r for r in records if place < len(r.names) and found.keys().isdisjoint(r.names)]
        taken = set(found.values())
        again = names_in(folder, [record.names[place] for record in left]) if left else {}
        found |= {name: file for name, file in again.items() if file not in taken}
    return found


def _text(name: str, where: str) -> str:
    """Return a name, after checking that it can be written.

    Raises:
        AnnotationError: if it has a lone surrogate, as JSON may have.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise AnnotationError(f"{where}: the name {quoted(name)} is not valid text") from None
    return name


def _plain(record: Record) -> str:
    """Return the name of an image without looking for it; it can't leave its folder."""
    name = record.names[0] if record.names else f"{record.stem}.jpg"
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts or "\0" in name:
        raise AnnotationError(f"{record.where}: {name!r} is not a file name")
    return "/".join(parts)


def _size(record: Record, name: str, folder: Path | None, faults: Faults) -> Size:
    """Return the upright size of an image: its file's, which the stated one must match."""
    stated = record.size
    if folder is None or not (faults.files or stated is None):
        if stated is None:
            raise AnnotationError(
                f"{record.where}: no size, and no image folder to take it from (--images)"
            )
        return stated
    try:
        actual = upright_size(folder / name)
    except UnreadableImageError as error:
        if stated is not None and faults.keeps_unreadable:
            return stated
        raise FaultyEntryError(IMAGE_UNREADABLE, f"{record.where}: {error}") from error
    if stated is None or stated == actual:
        return actual
    message = (
        f"{record.where}: is {stated[0]} x {stated[1]}, but its image {name} is {actual[0]} x "
        f"{actual[1]} pixels upright{turned_hint(folder / name, stated, actual)}"
    )
    if max(abs(a - b) for a, b in zip(stated, actual, strict=True)) > SLIGHTLY:
        raise FaultyEntryError(SIZE_WRONG, message)
    faults.note(SIZE_OFF, name, message)
    return actual


def _place(where: str, source: Path) -> str:
    """Return a location relative to the folder that was read."""
    return where.removeprefix(f"{source if source.is_dir() else source.parent}/")


def _boxes(
    record: Record, size: Size, source: Path, clipper: Clipper, faults: Faults
) -> list[LabelledBox]:
    boxes = []
    for entry in record.entries:
        with faults.left_out(BOX_BROKEN, _place(entry.where, source)):
            box = entry.read(size)
            if not _text(box.category, entry.where):
                raise AnnotationError(f"{entry.where}: has no class")
            place = f"{entry.where} ({box.category})"
            boxes.append(replace(box, xyxy=clipper.clip(place, box.xyxy, size, _SLACK)))
    return boxes


def _joined(
    first: LabelledImage, second: LabelledImage, record: Record, faults: Faults
) -> LabelledImage:
    """Return an image that is listed twice, with the boxes of both."""
    message = f"{record.where}: its image {first.file_name} is listed twice"
    faults.note(IMAGE_TWICE, first.file_name, message)
    return replace(first, boxes=[*first.boxes, *second.boxes])


def _categories(found: Records, images: Iterable[LabelledImage]) -> tuple[Category, ...]:
    used = {box.category for image in images for box in image.boxes}
    names = [*dict.fromkeys(found.classes), *sorted(used.difference(found.classes))]
    return tuple(
        Category(number, name, found.class_keys.get(name, {}))
        for number, name in enumerate(names, start=1)
    )


def _splits_of_folders(splits: Mapping[str, set[str]], names: Iterable[str]) -> dict[str, str]:
    """Return the split of images without a record: that of others in their folder."""
    owners: dict[str, set[str]] = defaultdict(set)
    for split, members in splits.items():
        for member in members:
            owners[str(PurePosixPath(member).parent)].add(split)
    found = {}
    for name in names:
        own = owners.get(str(PurePosixPath(name).parent), set())
        if len(own) == 1:
            found[name] = next(iter(own))
    return found
