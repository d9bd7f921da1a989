"""A project of YOLO files: reviews go into the files of labels of their images."""

from collections.abc import Mapping
from pathlib import Path

from sparsedet.annotations import Dataset, Image
from sparsedet.atomic_io import write_text
from sparsedet.errors import ToolError

from .changes import Changes
from .formats.yolo import read_yolo
from .formats.yolo_edit import edit_labels
from .formats.yolo_layout import find_yolo
from .identity import identify, with_place_ids


class YoloFiles:
    """A YOLO folder. YOLO holds no ids, origins and marks of complete images."""

    holds_complete = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._yolo = find_yolo(path)
        self.dataset = identify(with_place_ids(read_yolo(self._yolo)))
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
