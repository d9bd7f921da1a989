"""The annotations of a project in COCO, Pascal VOC or YOLO files: read, and changed by a merge.

An image is known by its file name, the one id that every annotation tool keeps; a box by its own
`tool_id`, or by its COCO id where it has none. VOC and YOLO files hold no ids, origins and marks of
complete images: there a box is known by class and place.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.coco import from_coco
from sparsedet.annotations.entries import DECIMALS, xywh
from sparsedet.atomic_io import atomic_path, read_json, write_json, write_text
from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.tool import ReviewedRegion

from .formats.voc_format import new_annotation, read_voc, xml_text
from .formats.voc_layout import find_voc
from .formats.voc_xml import edit_xml, object_element
from .formats.yolo_format import read_yolo
from .formats.yolo_labels import edit_labels
from .formats.yolo_layout import find_yolo
from .review_changes import Changes
from .review_files import MINED


class AnnotationFiles(Protocol):
    """Annotations that have been read."""

    @property
    def dataset(self) -> Dataset:
        """What they say, with the tool ids of `identify`."""
        ...

    @property
    def images(self) -> Path | None:
        """The image folder."""
        ...

    @property
    def holds_complete(self) -> bool:
        """Whether they can say that every object of an image has a box."""
        ...

    def file_of(self, image: str) -> Path:
        """Return the file that holds the annotations of an image, or would."""
        ...

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write changes, by image id, and return what the files say then.

        Every file is written atomically, and what no change names stays in it as it is.

        Raises:
            ToolError: when a class is unknown to the files, or they changed since they were read.
        """
        ...


class CocoFiles:
    """A COCO file with `images/` next to it."""

    holds_complete = True

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._content = read_json(path)
        except SparseDetError as error:
            raise AnnotationError(str(error)) from error
        self.dataset = identify(from_coco(self._content, source=str(path)))
        self.images: Path | None = path.parent / "images"

    def file_of(self, image: str) -> Path:
        """All images are in the one file."""
        return self._path

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write the changes in one go."""
        _apply_changes(self._content, self.dataset, changes, str(self._path))
        after = identify(from_coco(self._content, source=str(self._path)))
        write_json(self._path, self._content)
        return after


class VocFiles:
    """A Pascal VOC folder, with an xml file for each image."""

    holds_complete = False

    def __init__(self, path: Path) -> None:
        voc = find_voc(path)
        if voc is None:
            raise AnnotationError(f"{path}: not a Pascal VOC folder")
        self._voc = voc
        content = read_voc(voc)
        self._xml = content.xml
        self.dataset = identify(_with_place_ids(content.dataset))
        self.images = voc.images

    def file_of(self, image: str) -> Path:
        """Return the xml file of an image."""
        return self._xml.get(image) or self._voc.xml_of(image)

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write the changed xml files one by one; an image without one gets one."""
        for image_id, change in changes.items():
            image = self.dataset.image_by_id[image_id]
            if image.file_name in self._xml:
                self._edit(image, change)
            else:
                self._create(image, change)
        return VocFiles(self._voc.root).dataset

    def _edit(self, image: Image, change: Changes) -> None:
        path = self._xml[image.file_name]
        boxes = self.dataset.boxes_by_image[image.id]
        places = {box.id: place for place, box in enumerate(boxes)}
        after = edit_xml(
            path,
            [(self.dataset.category_by_id[box.category_id].name, box.xyxy) for box in boxes],
            removed={places[id] for id in change.removed},
            edited={places[id]: (new.category, new.xyxy) for id, new in change.edited.items()},
            added=[(region.category, region.xyxy) for region, _ in change.added],
        )
        with atomic_path(path) as temporary:
            temporary.write_bytes(after)

    def _create(self, image: Image, change: Changes) -> None:
        folder = self._voc.images or self._voc.root
        root = new_annotation(image, folder.name)
        for region, _ in change.added:
            root.append(object_element(region.category, region.xyxy, {}))
        write_text(self._voc.xml_of(image.file_name), xml_text(root))


class YoloFiles:
    """A YOLO folder, with a file of labels for each image."""

    holds_complete = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._yolo = find_yolo(path)
        self.dataset = identify(_with_place_ids(read_yolo(self._yolo)))
        self.images: Path | None = self._yolo.images

    def file_of(self, image: str) -> Path:
        """Return the file of labels of an image."""
        return self._yolo.labels.get(image, self._path)

    def apply(self, changes: Mapping[int, Changes]) -> Dataset:
        """Write the changed files of labels one by one."""
        indices = {name: index for index, name in self._yolo.names.items()}
        used = {region.category for change in changes.values() for region in change.regions()}
        if missing := used - indices.keys():
            raise ToolError(
                f"{self._path}: has no class {min(missing)!r}, which a review uses; add it to the "
                "names"
            )
        for image_id, change in changes.items():
            self._edit(self.dataset.image_by_id[image_id], change, indices)
        return YoloFiles(self._path).dataset

    def _edit(self, image: Image, change: Changes, indices: Mapping[str, int]) -> None:
        path = self._yolo.labels[image.file_name]
        boxes = self.dataset.boxes_by_image[image.id]
        places = {box.id: place for place, box in enumerate(boxes)}
        text = edit_labels(
            path,
            [(box.category_id - 1, box.xyxy) for box in boxes],
            (image.width, image.height),
            removed={places[id] for id in change.removed},
            edited={
                places[id]: (indices[region.category], region.xyxy)
                for id, region in change.edited.items()
            },
            added=[(indices[region.category], region.xyxy) for region, _ in change.added],
        )
        write_text(path, text)


def identify(dataset: Dataset) -> Dataset:
    """Return the annotations of a project with their tool ids, versions and origins.

    The version of an image is a digest of its annotations and of its `exhaustive` mark.
    """
    boxes: dict[int, list[Box]] = {image.id: [] for image in dataset.images}
    taken: set[tuple[int, str]] = set()
    for box in dataset.boxes:
        tool_id = box.tool_id or str(box.id)
        if (box.image_id, tool_id) in taken:  # copying a box copies the key in some tools
            tool_id = f"{tool_id}-{box.id}"
        taken.add((box.image_id, tool_id))
        boxes[box.image_id].append(replace(box, tool_id=tool_id, origin=annotation_origin(box)))
    names = {category.id: category.name for category in dataset.categories}
    return replace(
        dataset,
        images=tuple(
            replace(
                image,
                tool_id=image.file_name,
                tool_version=_version(image, boxes[image.id], names),
            )
            for image in dataset.images
        ),
        boxes=tuple(box for group in boxes.values() for box in group),
    )


def annotation_origin(box: Box) -> str:
    """Return the origin of an annotation; a mined box that became one has been accepted."""
    if box.origin == MINED:
        return "accepted"
    return box.origin or "human"


def _apply_changes(
    content: dict[str, Any], source: Dataset, changes: Mapping[int, Changes], path: str
) -> None:
    """Change the parsed content of a COCO file; everything else in it stays as it is.

    Args:
        content: of the file.
        source: the same content, as a dataset.
        changes: by image id.
        path: the file, for errors.

    Raises:
        ToolError: when the file lacks a category.
    """
    ids = {category.name: category.id for category in source.categories}
    used = {region.category for change in changes.values() for region in change.regions()}
    if missing := used - ids.keys():
        raise ToolError(
            f"{path}: has no category {min(missing)!r}, which a review uses; add it to the file's "
            "categories"
        )
    entries = {entry["id"]: entry for entry in content["annotations"]}
    numbers = count(max(entries, default=0) + 1)
    for image_id, change in changes.items():
        for box_id in change.removed:
            del entries[box_id]
        for box_id, region in change.edited.items():
            entry = entries[box_id]
            entry |= {"category_id": ids[region.category], "bbox": xywh(region.xyxy)}
            if "segmentation" not in entry:  # else the area is that of the mask
                entry["area"] = _area(region)
        for region, origin in change.added:
            number = next(numbers)
            entries[number] = {
                "id": number,
                "image_id": image_id,
                "category_id": ids[region.category],
                "bbox": xywh(region.xyxy),
                "area": _area(region),
                "iscrowd": 0,
                "origin": origin,
                "tool_id": region.region_id,
            }
    content["annotations"] = list(entries.values())
    for entry in content["images"]:
        if entry["id"] in changes and changes[entry["id"]].marks_complete:
            entry["exhaustive"] = True


def _area(region: ReviewedRegion) -> float:
    left, top, right, bottom = region.xyxy
    return round((right - left) * (bottom - top), DECIMALS)


def _with_place_ids(dataset: Dataset) -> Dataset:
    """Return annotations with tool ids made of class and place, for formats without ids.

    Unlike numbers, these stay the same when other boxes are added or removed.
    """
    names = {category.id: category.name for category in dataset.categories}
    taken: set[tuple[int, str]] = set()
    boxes = []
    for box in dataset.boxes:
        place = ",".join(f"{value:.2f}" for value in box.xyxy)
        text = f"{names[box.category_id]}|{place}"
        tool_id = hashlib.sha256(text.encode()).hexdigest()[:16]
        while (box.image_id, tool_id) in taken:  # the same box twice
            tool_id += "+"
        taken.add((box.image_id, tool_id))
        boxes.append(replace(box, tool_id=tool_id))
    return dataset.with_boxes(boxes)


def _version(image: Image, boxes: Iterable[Box], names: Mapping[int, str]) -> str:
    entries = [
        [box.tool_id, names[box.category_id], xywh(box.xyxy), box.iscrowd, dict(box.extra)]
        for box in boxes
    ]
    # Neither the order of the boxes nor that of their keys is a change.
    texts = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    return hashlib.sha256("\n".join([str(image.exhaustive), *texts]).encode()).hexdigest()[:16]
