"""Reads the xml files of a Pascal VOC folder."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from sparsedet.annotations import Category, Dataset
from sparsedet.annotations.entries import is_text
from sparsedet.annotations.faults import (
    BOX_BROKEN,
    IMAGE_UNREADABLE,
    LABELS_BROKEN,
    LABELS_NOWHERE,
    SIZE_OFF,
    SIZE_WRONG,
    Faults,
    FaultyEntryError,
    strictly,
)
from sparsedet.annotations.images import turned_hint
from sparsedet.errors import AnnotationError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reading import read_bytes
from sparsedet.wording import counted

from .alike_names import alike, note_alike
from .conversion import Clipper, LabelledBox, LabelledImage, to_dataset
from .image_folders import SLIGHTLY, read_sizes, stem
from .once import warn_once
from .voc_layout import VocFolder
from .voc_xml import parse_xml, read_image_keys, read_object, read_size

_SLACK = 1.001
"""Pixels; boxes in files that count from 0 reach out by one, and get a separate warning."""


@dataclass(frozen=True, slots=True)
class VocContent:
    """The content of a VOC folder."""

    dataset: Dataset
    xml: Mapping[str, Path]
    """Image file name -> its xml file, for images that have one."""


def read_voc(
    voc: VocFolder, progress: Progress = no_progress, faults: Faults | None = None
) -> VocContent:
    """Read all images and boxes of a VOC folder.

    Raises:
        AnnotationError: naming the broken file and object.
    """
    faults = faults or strictly(voc.root)
    reader = _Reader(voc, faults)
    sizes = read_sizes(voc.image_files, voc.images or voc.root, progress, faults)
    images: dict[str, LabelledImage] = {}
    files: dict[str, Path] = {}
    left_out: set[str] = set()
    unreadable = {*voc.image_files} - sizes.keys()
    for done, xml in enumerate(voc.xml_files, start=1):
        path = voc.annotations / xml
        if unreadable.intersection(voc.images_named(xml)):
            continue
        # The image of a broken file is not an image without objects: leave it out.
        left_out.update(voc.images_named(xml))
        with faults.left_out(LABELS_BROKEN, xml):
            image = _read_file(reader, xml, path, sizes)
            if image.file_name in files:
                raise AnnotationError(
                    f"{path}: its image {image.file_name} already belongs to "
                    f"{files[image.file_name]}"
                )
            files[image.file_name], images[image.file_name] = path, image
            reader.note_namesakes(xml, image.file_name)
        progress("reading annotations", done, len(voc.xml_files))
    reader.warn()
    _note_unlabelled(voc, {stem(name) for name in images}, faults)
    bare = [
        LabelledImage(name, *size, ())
        for name, size in sizes.items()
        if name not in images and name not in left_out
    ]
    names = sorted({box.category for image in images.values() for box in image.boxes})
    categories = tuple(Category(number, name) for number, name in enumerate(names, start=1))
    dataset = to_dataset([*images.values(), *bare], categories)
    faults.kept(len(dataset.images), len(dataset.boxes))
    return VocContent(dataset, files)


def read_voc_file(voc: VocFolder, path: Path, image: str, size: tuple[int, int]) -> LabelledImage:
    """Read one xml file of a VOC folder.

    Args:
        voc: the folder.
        path: the file.
        image: the file name of its image.
        size: (width, height) of the image, upright.
    """
    xml = path.relative_to(voc.annotations).as_posix()
    return replace(
        _Reader(voc, strictly(voc.root)).image(xml, path, {image: size}), file_name=image
    )


def _note_unlabelled(voc: VocFolder, labelled: Collection[str], faults: Faults) -> None:
    """Record splits without any xml file, whose images may have objects nevertheless."""
    if faults.strict:
        return
    there = {stem(name) for name in voc.image_files}
    for split, members in voc.split_members().items():
        own = {id for member in members for id in (member, stem(member)) if id in there}
        if own and own.isdisjoint(labelled):
            message = f"{voc.root}: {split} has {counted(len(own), 'image')}, but no xml file"
            faults.note(LABELS_NOWHERE, split, message)


def _read_file(
    reader: "_Reader", xml: str, path: Path, sizes: Mapping[str, tuple[int, int]]
) -> LabelledImage:
    try:
        return reader.image(xml, path, sizes)
    except RecursionError as error:
        raise AnnotationError(f"{path}: not a VOC annotation (nested too deep)") from error


class _Reader:
    """Reads xml files, and collects warnings."""

    def __init__(self, voc: VocFolder, faults: Faults) -> None:
        self._voc = voc
        self._faults = faults
        self._clipper = Clipper(voc.root, faults)
        self._from_zero: list[str] = []
        self._alike: dict[str, str] = {}
        self._namesakes: list[str] = []

    def image(self, xml: str, path: Path, sizes: Mapping[str, tuple[int, int]]) -> LabelledImage:
        """Read a file; `sizes` are those of images by name."""
        root = parse_xml(read_bytes(path, "XML file"), path)
        name = self._voc.image_of(xml, root.findtext("filename") or "")
        if stem(name) != stem(xml) and alike(stem(name)) == alike(stem(xml)):
            self._alike[xml] = name
        if name not in sizes and self._voc.images is not None:
            raise FaultyEntryError(IMAGE_UNREADABLE, f"{path}: {name} can't be read")
        if not is_text(name):
            raise AnnotationError(f"{path}: its file name is not UTF-8; rename it and its image")
        stated, actual = read_size(root, path), sizes.get(name)
        size = actual or stated
        if size is None:
            raise AnnotationError(f"{path}: no <size>, and no image folder to take it from")
        if stated is not None and stated != size:
            self._check_size(path, name, stated, size)
        boxes = []
        for number, element in enumerate(root.findall("object"), start=1):
            with self._faults.left_out(BOX_BROKEN, f"{xml}: object {number}"):
                boxes.append(self._box(f"{path}: object {number}", element, size))
        return LabelledImage(name, *size, boxes, read_image_keys(root))

    def _box(self, where: str, element: ET.Element, size: tuple[int, int]) -> LabelledBox:
        category, xyxy, keys = read_object(element, where)
        if min(xyxy[:2]) <= -1:
            self._from_zero.append(where)
        return LabelledBox(
            category, self._clipper.clip(f"{where} ({category})", xyxy, size, _SLACK), extra=keys
        )

    def _check_size(
        self, path: Path, name: str, stated: tuple[int, int], actual: tuple[int, int]
    ) -> None:
        message = (
            f"{path}: <size> is {stated[0]} x {stated[1]}, but its image {name} is {actual[0]} x "
            f"{actual[1]} pixels upright"
        )
        if self._voc.images is not None:
            message += turned_hint(self._voc.images / name, stated, actual)
        if max(abs(a - b) for a, b in zip(stated, actual, strict=True)) > SLIGHTLY:
            raise FaultyEntryError(SIZE_WRONG, message)
        self._faults.note(SIZE_OFF, path.name, message)

    def note_namesakes(self, xml: str, image: str) -> None:
        """Record other images with the name of an xml file, which are left out."""
        others = self._voc.images_named(xml) if stem(image) == stem(xml) else ()
        self._namesakes += [
            f"{name}, while {PurePosixPath(xml).name} names {image}"
            for name in others
            if name != image and stem(name) == stem(xml)
        ]

    def warn(self) -> None:
        """Log warnings about clipped boxes, names, and files that seem to count from 0."""
        self._clipper.warn()
        note_alike(self._voc.images or self._voc.root, self._alike)
        if self._namesakes:
            left_out = counted(len(self._namesakes), "image is", "images are")
            warn_once(
                f"{self._voc.images}: {left_out} left out that would share an xml file with "
                f"another (first: {self._namesakes[0]}); rename those that are needed"
            )
        if self._from_zero:
            boxes = counted(len(self._from_zero), "box starts", "boxes start")
            warn_once(
                f"{self._voc.root}: {boxes} at 0 (first: {self._from_zero[0]}); Pascal VOC "
                "counts pixels from 1, so files that count from 0 are read one pixel too far to "
                "the left and top"
            )
