"""Annotations in Pascal VOC and YOLO folders, with a file per image."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError
from sparsedet.reading import read_bytes
from sparsedet.reviews import Changes

from .annotation_files import (
    OvertakenError,
    Prepared,
    data_digest,
    file_digest,
    identify,
    replace_unchanged,
    with_place_ids,
    with_present_names,
)
from .formats.conversion import LabelledImage, to_dataset
from .formats.voc_format import new_annotation, xml_text
from .formats.voc_layout import find_voc
from .formats.voc_reading import read_voc, read_voc_file
from .formats.voc_xml import edit_xml, object_element
from .formats.yolo_format import read_yolo, read_yolo_image
from .formats.yolo_labels import edit_labels
from .formats.yolo_layout import find_yolo


class LabelFiles(ABC):
    """Common base of VOC and YOLO folders.

    Args:
        stored: the dataset as read, without tool ids.
        images: the image folder.
        rename: see `with_present_names`.
    """

    holds_complete = False
    is_one_file = False

    def __init__(self, stored: Dataset, images: Path | None, rename: Mapping[str, str]) -> None:
        self._stored = stored
        self._rename = rename
        self.dataset = self._identified(stored)
        self.images = images

    @abstractmethod
    def file_of(self, image: str) -> Path:
        """Return the file of an image; it need not exist."""

    @abstractmethod
    def _read(self, image: Image) -> LabelledImage:
        """Read the file of an image, which may not exist."""

    @abstractmethod
    def _edited(
        self, image: Image, boxes: Sequence[Box], places: Mapping[str, int], change: Changes
    ) -> bytes:
        """Return the content of an image's file with changes applied.

        Args:
            image: whose file.
            boxes: all boxes of the file as stored, in order.
            places: tool id -> index in `boxes`.
            change: what to change.
        """

    def content_of(self, image: str) -> Any:
        """Return the text of an image's file; as base64 if it is not UTF-8."""
        if not (path := self.file_of(image)).exists():
            return {"text": None}
        data = read_bytes(path)
        try:
            return {"text": data.decode()}
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(data).decode()}

    def is_restored(self, image: str, content: Any) -> bool:
        """Whether an image's file has a content again."""
        return bool(content.items() >= self.content_of(image).items())

    def is_written(self, image: str, written: str) -> bool:
        """Whether an image's file is as a merge wrote it."""
        return file_digest(self.file_of(image)) == written

    def prepare(self, changes: Mapping[str, Changes]) -> Prepared:
        """Prepare the changed files, which are written one by one, creating missing ones."""
        texts = {image: self._prepared(image, change) for image, change in changes.items()}
        return Prepared(
            {image: data_digest(data) for image, (_, data) in texts.items()},
            lambda: {image: self._write(image, *text) for image, text in texts.items()},
        )

    def put_back(self, contents: Mapping[str, Any]) -> None:
        """Restore the files one by one, removing those that did not exist."""
        for name, content in contents.items():
            path = self.file_of(name)
            digest = self._digest_as_read(self._images[name])
            if "base64" in content:
                replace_unchanged(path, digest, base64.b64decode(content["base64"]))
            elif content["text"] is not None:
                replace_unchanged(path, digest, content["text"].encode())
            else:
                path.resolve().unlink(missing_ok=True)  # a link was there before

    def _prepared(self, name: str, change: Changes) -> tuple[str, bytes]:
        """Return the digest of an image's file, and its new content."""
        stored = self._images[name]
        digest = self._digest_as_read(stored)
        ids = [box.tool_id or "" for box in self._ids.boxes_by_image[stored.id]]
        places = {id: place for place, id in enumerate(ids)}
        boxes = self._stored.boxes_by_image[stored.id]
        return digest, self._edited(stored, boxes, places, change)

    def _write(self, name: str, digest: str, after: bytes) -> str | None:
        stored = self._images[name]
        replace_unchanged(self.file_of(name), digest, after)
        labelled = self._read(stored)
        names = dict.fromkeys(box.category for box in labelled.boxes)
        categories = [Category(number, name) for number, name in enumerate(names, start=1)]
        return self._identified(to_dataset([labelled], categories)).images[0].tool_version

    def _digest_as_read(self, image: Image) -> str:
        """Return the digest of an image's file, after checking that its boxes are unchanged.

        Raises:
            OvertakenError: if it has other boxes.
        """
        path = self.file_of(image.file_name)
        digest = file_digest(path)
        now = [(box.category, box.xyxy, dict(box.extra)) for box in self._read(image).boxes]
        names = self._stored.category_by_id
        before = [
            (names[box.category_id].name, box.xyxy, dict(box.extra))
            for box in self._stored.boxes_by_image[image.id]
        ]
        if now != before:
            raise OvertakenError(f"{path}: changed while it was being merged; try again")
        return digest

    def _identified(self, stored: Dataset) -> Dataset:
        return identify(with_present_names(with_place_ids(stored), self._rename))

    @cached_property
    def _images(self) -> Mapping[str, Image]:
        return {image.file_name: image for image in self._stored.images}

    @cached_property
    def _ids(self) -> Dataset:
        """The stored boxes with their tool ids, including those without a current name."""
        return identify(with_place_ids(self._stored))


class VocFiles(LabelFiles):
    """A Pascal VOC folder, with an xml file per image."""

    def __init__(self, path: Path, rename: Mapping[str, str]) -> None:
        voc = find_voc(path)
        if voc is None:
            raise AnnotationError(f"{path}: not a Pascal VOC folder")
        self._voc = voc
        content = read_voc(voc)
        self._xml = content.xml
        super().__init__(content.dataset, voc.images, rename)
        owners: dict[Path, str] = {}
        for image in content.dataset.images:
            file, name = self.file_of(image.file_name), image.file_name
            if (first := owners.setdefault(file, name)) != name:
                raise AnnotationError(f"{file}: {first} and {name} would share it; rename one")

    def file_of(self, image: str) -> Path:
        """Return the xml file of an image."""
        return self._xml.get(image) or self._voc.xml_of(image)

    def _read(self, image: Image) -> LabelledImage:
        path, size = self.file_of(image.file_name), (image.width, image.height)
        if not path.exists():
            return LabelledImage(image.file_name, *size, ())
        return read_voc_file(self._voc, path, image.file_name, size)

    def _edited(
        self, image: Image, boxes: Sequence[Box], places: Mapping[str, int], change: Changes
    ) -> bytes:
        path = self.file_of(image.file_name)
        if path.exists():
            return edit_xml(
                path,
                [(self._stored.category_by_id[box.category_id].name, box.xyxy) for box in boxes],
                removed={places[id] for id in change.removed},
                edited={places[id]: (new.category, new.xyxy) for id, new in change.edited.items()},
                added=[(d.region.category, d.region.xyxy) for d in change.added.values()],
            )
        root = new_annotation(image, (self._voc.images or self._voc.root).name)
        for decision in change.added.values():
            root.append(object_element(decision.region.category, decision.region.xyxy, {}))
        return xml_text(root).encode()


class YoloFiles(LabelFiles):
    """A YOLO folder, with a label file per image."""

    def __init__(self, path: Path, rename: Mapping[str, str]) -> None:
        self._path = path
        self._yolo = find_yolo(path)
        super().__init__(read_yolo(self._yolo), self._yolo.images, rename)

    def file_of(self, image: str) -> Path:
        """Return the label file of an image."""
        return self._yolo.labels.get(image, self._path)

    def _read(self, image: Image) -> LabelledImage:
        return read_yolo_image(self._yolo, image.file_name, (image.width, image.height))

    def _edited(
        self, image: Image, boxes: Sequence[Box], places: Mapping[str, int], change: Changes
    ) -> bytes:
        indices = self._indices
        text = edit_labels(
            self.file_of(image.file_name),
            [(box.category_id - 1, box.xyxy) for box in boxes],
            (image.width, image.height),
            removed={places[id] for id in change.removed},
            edited={
                places[id]: (indices[region.category], region.xyxy)
                for id, region in change.edited.items()
            },
            added=[(indices[d.region.category], d.region.xyxy) for d in change.added.values()],
        )
        return text.encode()

    @cached_property
    def _indices(self) -> Mapping[str, int]:
        """Current class name -> index."""
        return {category.name: category.id - 1 for category in self.dataset.categories}
