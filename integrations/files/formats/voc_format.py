"""Pascal VOC: an xml file per image in `Annotations/`, and images in `JPEGImages/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.faults import Faults, strictly
from sparsedet.atomic_io import write_text
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded
from sparsedet.push_modes import Progress, no_progress

from .conversion import (
    common_losses,
    has_own_area,
    loss,
    real_splits,
    unlisted_images,
    unused_classes,
    with_listed_images,
    with_split,
)
from .image_folders import check_stems, link_images, stem
from .voc_layout import ANNOTATIONS, IMAGE_SETS, IMAGES, VocFolder, find_voc
from .voc_reading import read_voc
from .voc_xml import holds_image_key, holds_object_key, image_element, object_element

_THINNEST = 1.0
"""Pixels; VOC boxes include the pixels at both ends, so none is thinner."""


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


def new_annotation(image: Image, folder: str) -> ET.Element:
    """Return the `<annotation>` of an image, without objects."""
    return image_element(image.file_name, (image.width, image.height), image.extra, folder)


def xml_text(root: ET.Element) -> str:
    """Return an element as indented text, like VOC's own files."""
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def _writable(dataset: Dataset) -> Dataset:
    return dataset.with_boxes(
        box
        for box in dataset.boxes
        if not box.iscrowd and min(box.width, box.height) > _THINNEST - 1e-6
    )
