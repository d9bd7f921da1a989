"""A project of Pascal VOC files: reviews go into the xml files of their images."""

from collections.abc import Mapping
from pathlib import Path

from sparsedet.annotations import Dataset, Image
from sparsedet.atomic_io import atomic_path, write_text
from sparsedet.errors import AnnotationError

from .changes import Changes
from .formats.pascal_voc import new_annotation, read_voc, xml_text
from .formats.voc_edit import edit_xml
from .formats.voc_layout import find_voc
from .formats.voc_xml import object_element
from .identity import identify, with_place_ids


class VocFiles:
    """A VOC folder. VOC holds no ids, origins and marks of complete images."""

    holds_complete = False

    def __init__(self, path: Path) -> None:
        voc = find_voc(path)
        if voc is None:
            raise AnnotationError(f"{path}: not a Pascal VOC folder")
        self._voc = voc
        content = read_voc(voc)
        self._xml = content.xml
        self.dataset = identify(with_place_ids(content.dataset))
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
