"""Label Studio's own JSON: exports "JSON" and "JSON-MIN", and files to import with predictions."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.faults import Faults
from sparsedet.atomic_io import write_json, write_text
from sparsedet.push_modes import Progress, no_progress

from ..conversion import common_losses, has_own_area, loss, unused_classes
from ..image_folders import link_images
from .file_kinds import has_json
from .json_records import json_records
from .label_studio_tasks import read_tasks
from .read_format import ReadFormat
from .records import Records

TASKS = "tasks.json"
CONFIG = "labeling_config.xml"
_IMAGES = "images"
_FROM, _TO = "label", "image"
"""Names of tags in `CONFIG` that results refer to."""
_PERCENT = 100.0
_LOCAL_FILES = "/data/local-files/?d="
_VERSION = "sparsedet"


class LabelStudioFormat(ReadFormat):
    """Label Studio's JSON, without a server.

    If a task has several annotations, the one marked as ground truth counts, else the one saved
    last; predictions count only if a file has no annotations. Rotated rectangles, polygons and
    ellipses become their upright bounding boxes.

    Written files are for import: boxes with a score become predictions, others annotations.
    """

    title = "Label Studio JSON"
    layout = "a .json file exported from Label Studio as JSON or JSON-MIN"
    can_write = True
    holds_scores = True

    def detect(self, path: Path) -> bool:
        """Whether this is a Label Studio file, or a folder with some."""
        return has_json(path, "label-studio")

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; the split comes from a file's name or folder."""
        expected = f"Label Studio JSON ({self.layout})"
        found = json_records(path, "label-studio", expected, faults, read_tasks)
        return Records(found.files[0].parent / "labels.json", found.records)

    def stored(self, dataset: Dataset) -> Dataset:
        """Return a dataset without crowd regions."""
        return dataset.with_boxes(box for box in dataset.boxes if not box.iscrowd)

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Return what an import can't store: crowd regions, keys, masks, classes without boxes."""
        used = sorted({box.category_id for box in dataset.boxes if not box.iscrowd})
        names = dataset.category_by_id
        order = sorted(used, key=lambda id: names[id].name)
        lost = common_losses(
            dataset,
            box_keys=lambda key, value: key == "score",
            image_keys=lambda key, value: False,
            class_ids={id: number for number, id in enumerate(order, start=1)},
        )
        lost += [
            loss("areas of masks", sum(map(has_own_area, dataset.boxes))),
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
        """Write `tasks.json`, a matching labelling configuration, and `images/`.

        Tasks refer to images as files of a local storage whose root is the image folder.
        """
        names = [image.file_name for image in dataset.images]
        if images is not None:
            link_images(names, images, folder / _IMAGES, progress)
        tasks = [_task(dataset, image) for image in dataset.images]
        write_text(folder / CONFIG, _config([category.name for category in dataset.categories]))
        write_json(folder / TASKS, tasks)


def _task(dataset: Dataset, image: Image) -> dict[str, object]:
    boxes = [box for box in dataset.boxes_by_image[image.id] if not box.iscrowd]
    names = dataset.category_by_id
    found = [_region(box, image, names[box.category_id].name) for box in boxes if _scored(box)]
    drawn = [_region(box, image, names[box.category_id].name) for box in boxes if not _scored(box)]
    # As bytes: file names need not be UTF-8.
    path = quote(image.file_name.encode(errors="surrogateescape"))
    task: dict[str, object] = {"data": {_TO: _LOCAL_FILES + path}}
    if drawn:
        task["annotations"] = [{"result": drawn}]
    if found:
        scores = [box.extra["score"] for box in boxes if _scored(box)]
        mean = sum(scores) / len(scores)
        task["predictions"] = [{"model_version": _VERSION, "score": mean, "result": found}]
    return task


def _scored(box: Box) -> bool:
    return isinstance(box.extra.get("score"), int | float)


def _region(box: Box, image: Image, category: str) -> dict[str, object]:
    left, top, _, _ = box.xyxy
    region: dict[str, object] = {
        "id": f"box-{box.id}",
        "type": "rectanglelabels",
        "from_name": _FROM,
        "to_name": _TO,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "x": left / image.width * _PERCENT,
            "y": top / image.height * _PERCENT,
            "width": box.width / image.width * _PERCENT,
            "height": box.height / image.height * _PERCENT,
            "rotation": 0,
            "rectanglelabels": [category],
        },
    }
    return region | ({"score": box.extra["score"]} if _scored(box) else {})


def _config(classes: Sequence[str]) -> str:
    from xml.etree import ElementTree as ET

    view = ET.Element("View")
    ET.SubElement(view, "Image", name=_TO, value=f"${_TO}")
    labels = ET.SubElement(view, "RectangleLabels", name=_FROM, toName=_TO)
    for name in classes:
        ET.SubElement(labels, "Label", value=name)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"
