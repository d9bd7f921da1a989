"""Pascal VOC: an xml file per image in `Annotations/`, and images in `JPEGImages/`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from sparsedet.annotations import Category, Dataset, Image
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
from sparsedet.atomic_io import write_text
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reading import read_bytes
from sparsedet.wording import counted

from .alike_names import alike, note_alike
from .conversion import (
    Clipper,
    LabelledBox,
    LabelledImage,
    common_losses,
    has_own_area,
    loss,
    real_splits,
    to_dataset,
    unlisted_images,
    unused_classes,
    with_listed_images,
    with_split,
)
from .image_folders import SLIGHTLY, check_stems, link_images, read_sizes, stem
from .once import warn_once
from .voc_layout import ANNOTATIONS, IMAGE_SETS, IMAGES, VocFolder, find_voc
from .voc_xml import (
    holds_image_key,
    holds_object_key,
    image_element,
    object_element,
    parse_xml,
    read_image_keys,
    read_object,
    read_size,
)

_SLACK = 1.001
"""Pixels; boxes in files that count from 0 reach out by one, and get a separate warning."""
_THINNEST = 1.0
"""Pixels; VOC boxes include the pixels at both ends, so none is thinner."""


@dataclass(frozen=True, slots=True)
class VocContent:
    """The content of a VOC folder."""

    dataset: Dataset
    xml: Mapping[str, Path]
    """Image file name -> its xml file, for images that have one."""


class PascalVocFormat:
    """Pascal VOC.

    Classes are numbered from 1 by name. For coordinates, see `voc_xml`. Other elements of an object
    or image (`difficult`, `truncated`, `pose`, `part`, ...) become keys of `extra`, and are written
    back.
    """

    title = "Pascal VOC"
    layout = "a folder with Annotations/*.xml and JPEGImages/, or xml files next to their images"
    needs_images = False
    lists_classes = False
    can_write = True
    holds_scores = False

    def detect(self, path: Path) -> bool:
        """Whether a folder holds VOC annotations."""
        return find_voc(path) is not None

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits in `ImageSets/Main`, or those that folders are named after."""
        voc = find_voc(path, images)
        return real_splits(voc.split_members()) if voc else []

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        faults: Faults | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a folder; images without an xml file have no boxes.

        Splits are the files of `ImageSets/Main`, or folders named after them; without a split, all
        images are read. Ids are the same with or without a split; `train` falls back to `trainval`.
        Sizes come from the images, and `<size>` must agree; without an image folder, they come from
        `<size>`.
        """
        voc = find_voc(path, images)
        if voc is None:
            raise AnnotationError(f"{path}: not a Pascal VOC folder ({self.layout})")
        faults = faults or strictly(voc.root)
        dataset = read_voc(voc, progress, faults).dataset
        if split is not None:
            ids = {stem(image.file_name): image.file_name for image in dataset.images}
            if not faults.strict:
                ids |= dict.fromkeys(_left_out(voc, ids), "")
            dataset = with_split(dataset, voc.split(split, ids, faults))
        return Loaded(dataset, voc.images)

    def stored(self, dataset: Dataset) -> Dataset:
        """Return a dataset without crowd regions, thin boxes, and images that are not found."""
        return _writable(with_listed_images(dataset))

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Return what VOC can't store: crowd regions, thin boxes, classes without boxes, ..."""
        unlisted, dataset = unlisted_images(dataset), with_listed_images(dataset)
        kept = _writable(dataset)
        used = {box.category_id for box in kept.boxes}
        names = sorted(c.name for c in dataset.categories if c.id in used)
        ids = {c.id: names.index(c.name) + 1 for c in dataset.categories if c.id in used}
        lost = common_losses(
            dataset, box_keys=holds_object_key, image_keys=holds_image_key, class_ids=ids
        )
        thin = sum(not box.iscrowd for box in dataset.boxes) - len(kept.boxes)
        lost += [
            unlisted,
            loss("boxes thinner than a pixel, left out", thin),
            loss("areas of masks", sum(has_own_area(box) for box in kept.boxes)),
            unused_classes(dataset, used),
        ]
        return [text for text in lost if text]

    def write(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        images: Path | None,
        progress: Progress = no_progress,
    ) -> None:
        """Write `Annotations/`, `JPEGImages/` and `ImageSets/Main/trainval.txt` (all images).

        Sub-folders are kept: `day/a.png` has its boxes in `Annotations/day/a.xml`.
        """
        if images is not None:  # else, label files may be for a program that finds them
            dataset = with_listed_images(dataset)
        names = [image.file_name for image in dataset.images]
        check_stems(names, ".xml")
        kept = _writable(dataset)
        categories = dataset.category_by_id
        for done, image in enumerate(dataset.images, start=1):
            root = new_annotation(image, IMAGES)
            for box in kept.boxes_by_image[image.id]:
                root.append(object_element(categories[box.category_id].name, box.xyxy, box.extra))
            path = folder / ANNOTATIONS / f"{stem(image.file_name)}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(xml_text(root), encoding="utf-8")
            progress("writing annotations", done, len(names))
        listed = "".join(f"{stem(name)}\n" for name in sorted(names))
        write_text(folder / IMAGE_SETS / "trainval.txt", listed)
        if images is not None:
            link_images(names, images, folder / IMAGES, progress)


def _left_out(voc: VocFolder, ids: Mapping[str, str]) -> list[str]:
    """Return the ids of images that a split may list although they were left out."""
    known = {stem(name) for name in (*voc.image_files, *voc.xml_files)}
    return sorted(known - ids.keys())


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


def new_annotation(image: Image, folder: str) -> ET.Element:
    """Return the `<annotation>` of an image, without objects."""
    return image_element(image.file_name, (image.width, image.height), image.extra, folder)


def xml_text(root: ET.Element) -> str:
    """Return an element as indented text, like VOC's own files."""
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


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

    def warn(self) -> None:
        """Log warnings about clipped boxes, names, and files that seem to count from 0."""
        self._clipper.warn()
        note_alike(self._voc.images or self._voc.root, self._alike)
        if self._from_zero:
            boxes = counted(len(self._from_zero), "box starts", "boxes start")
            warn_once(
                f"{self._voc.root}: {boxes} at 0 (first: {self._from_zero[0]}); Pascal VOC "
                "counts pixels from 1, so files that count from 0 are read one pixel too far to "
                "the left and top"
            )


def _writable(dataset: Dataset) -> Dataset:
    return dataset.with_boxes(
        box
        for box in dataset.boxes
        if not box.iscrowd and min(box.width, box.height) > _THINNEST - 1e-6
    )
