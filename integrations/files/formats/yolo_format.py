"""YOLO in the layout of Ultralytics and Label Studio: `data.yaml`, `images/` and `labels/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.faults import (
    BOX_BROKEN,
    IMAGE_AMBIGUOUS,
    LABELS_BROKEN,
    LABELS_NOWHERE,
    LABELS_WITHOUT_IMAGE,
    Faults,
    strictly,
)
from sparsedet.atomic_io import write_text
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded, canonical_split, match_split
from sparsedet.push_modes import Progress, no_progress
from sparsedet.wording import counted

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
    with_listed_images,
    with_split,
)
from .image_folders import check_stems, link_images, read_sizes
from .once import warn_once
from .other_tools.dota import is_dota
from .voc_xml import DEFAULTS
from .yolo_label_files import (
    IMAGES,
    label_file,
    unused_label_files,
    with_unlisted_images,
)
from .yolo_labels import (
    Polygon,
    corners,
    format_box,
    format_polygon,
    polygon_area,
    read_labels,
)
from .yolo_layout import DATA, YoloFolder, find_yolo, is_yolo
from .yolo_splits import SPLITS

_SEGMENTATION = "segmentation"
_SAME_BOX = 0.02
"""Pixels; COCO files store box and polygon with two decimals."""
_SLACK = 2e-4
"""Share of the longer side by which boxes with 4 decimals may reach over the edge."""


class YoloFormat:
    """YOLO.

    Class index i is category id i + 1; categories are written in the order of their ids. Outlines
    become COCO's `segmentation`, and are written back. Written coordinates are accurate to 1e-4
    pixel, boxes with an outline to 0.02 pixel.
    """

    title = "YOLO"
    layout = (
        "a folder with data.yaml or classes.txt, images/ and labels/, the yaml file, or Darknet's "
        "obj.data"
    )
    needs_images = True
    lists_classes = True
    can_write = True
    holds_scores = False

    def detect(self, path: Path) -> bool:
        """Whether this is a YOLO folder or its yaml or data file.

        Roboflow also writes a yaml file next to DOTA labels.
        """
        return is_yolo(path) and not is_dota(path)

    def splits(self, path: Path, images: Path | None = None) -> Sequence[str]:
        """Return the splits of `data.yaml`, or of folders named after them."""
        return real_splits(find_yolo(path, images, Faults(path)).splits)

    def read(
        self,
        path: Path,
        *,
        images: Path | None = None,
        split: str | None = None,
        faults: Faults | None = None,
        progress: Progress = no_progress,
    ) -> Loaded:
        """Read a folder; an image without a label file has no boxes.

        Splits are those of `data.yaml`, or of folders named after them; without a split, all images
        are read. Ids are the same with or without a split.
        """
        faults = faults or strictly(path)
        yolo = find_yolo(path, images, faults)
        members = None
        if split is not None:
            found = match_split(split, yolo.splits)
            if found is None:
                known = ", ".join(yolo.splits) or "-"
                raise AnnotationError(f"{path}: no split {split!r} (found: {known})")
            members = yolo.splits[found]
        dataset = read_yolo(yolo, progress, faults)
        return Loaded(dataset if members is None else with_split(dataset, members), yolo.images)

    def stored(self, dataset: Dataset) -> Dataset:
        """Return a dataset without crowd regions, and images that no reader finds again."""
        listed = with_listed_images(dataset)
        return listed.with_boxes(box for box in listed.boxes if not box.iscrowd)

    def losses(self, dataset: Dataset) -> Sequence[str]:
        """Return what YOLO can't store: crowd regions, keys, most masks, ..."""
        unlisted, dataset = unlisted_images(dataset), with_listed_images(dataset)
        indices = class_indices(dataset)
        lost = common_losses(
            dataset,
            # VOC's default values of an object are not a loss.
            box_keys=lambda key, value: key == _SEGMENTATION or (key, value) in DEFAULTS.items(),
            image_keys=lambda key, value: False,
            class_ids={id: index + 1 for id, index in indices.items()},
        )
        boxes = [box for box in dataset.boxes if not box.iscrowd]
        masks = sum(bool(box.extra.get(_SEGMENTATION)) and outline(box) is None for box in boxes)
        areas = sum(has_own_area(box) and outline(box) is None for box in boxes)
        lost += [
            unlisted,
            loss("masks that are not a single outline, their boxes stay", masks),
            loss("areas of masks", areas),
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
        """Write `data.yaml`, `images/` and `labels/`.

        Images whose names start with `train/`, `val/` or `test/`, or other usual names of splits,
        form these splits; otherwise all images are both `train` and `val`, which Ultralytics
        requires. File names that already contain a folder `images` (`train/images/a.jpg`) keep it,
        as in Roboflow's exports.
        """
        if images is not None:  # else, label files may be for a program that finds them
            dataset = with_listed_images(dataset)
        names = [image.file_name for image in dataset.images]
        base = "." if names and all(_has_own_folder(name) for name in names) else IMAGES
        check_stems(names, ".txt")
        indices = class_indices(dataset)
        for done, image in enumerate(dataset.images, start=1):
            kept = [box for box in dataset.boxes_by_image[image.id] if not box.iscrowd]
            path = folder / label_file(f"{base}/{image.file_name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_label_text(image, kept, indices), encoding="utf-8")
            progress("writing annotations", done, len(names))
        write_text(folder / DATA, _data_text(dataset, names, base))
        if images is not None:
            link_images(names, images, folder / base, progress)


def read_yolo(
    yolo: YoloFolder, progress: Progress = no_progress, faults: Faults | None = None
) -> Dataset:
    """Read all images and boxes of a YOLO folder.

    Raises:
        AnnotationError: naming the broken file and line.
    """
    faults = faults or strictly(yolo.root)
    clipper = Clipper(yolo.root, faults, centered=True)
    sizes = read_sizes(yolo.labels, yolo.images, progress, faults)
    _note_unused(yolo, faults)
    images = []
    for done, name in enumerate(_unambiguous(yolo, sizes, faults), start=1):
        with faults.left_out(LABELS_BROKEN, yolo.labels[name].name):
            images.append(_read_image(yolo, name, sizes[name], clipper, faults))
        progress("reading annotations", done, len(sizes))
    clipper.warn()
    categories = [Category(index + 1, name) for index, name in yolo.names.items()]
    faults.kept(len(images), sum(len(image.boxes) for image in images))
    return to_dataset(images, categories)


def read_yolo_image(yolo: YoloFolder, image: str, size: tuple[int, int]) -> LabelledImage:
    """Read the label file of an image with (width, height) `size`; it need not exist."""
    faults = strictly(yolo.root)
    return _read_image(yolo, image, size, Clipper(yolo.root, faults), faults)


def class_indices(dataset: Dataset) -> dict[int, int]:
    """Return category id -> class index, in the order of the ids."""
    return {id: index for index, id in enumerate(sorted(dataset.category_by_id))}


def outline(box: Box) -> Polygon | None:
    """Return the box's polygon if it is a single one with the box's extent, else None."""
    polygons = box.extra.get(_SEGMENTATION)
    if not isinstance(polygons, list) or len(polygons) != 1 or not isinstance(polygons[0], list):
        return None
    (polygon,) = polygons
    if len(polygon) < 6 or len(polygon) % 2 or not all(_is_number(value) for value in polygon):
        return None
    bounds = (min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2]))
    same = all(abs(a - b) <= _SAME_BOX for a, b in zip(bounds, box.xyxy, strict=True))
    return polygon if same else None


def _unambiguous(
    yolo: YoloFolder, sizes: Mapping[str, tuple[int, int]], faults: Faults
) -> list[str]:
    """Return the images except those that share a label file with another one.

    Of images with the same size, which are most likely the same image, the first is kept.
    """
    owners: dict[Path, list[str]] = {}
    for name in sizes:
        owners.setdefault(yolo.labels[name], []).append(name)
    kept = []
    for path, names in owners.items():
        stays = names[:1] if len({sizes[name] for name in names}) == 1 else []
        kept += stays
        for name in names[len(stays) :]:
            others = " and ".join(other for other in names if other != name)
            message = (
                f"{yolo.images / name}: shares its labels {path} with {others}, so it is unclear "
                "whose they are; remove or rename one of the images"
            )
            faults.note(IMAGE_AMBIGUOUS, f"{name} (as {others})", message)
    return sorted(kept)


def _note_unused(yolo: YoloFolder, faults: Faults) -> None:
    """Record label files without an image, and splits without labels.

    Lists of images may leave some out; their labels are no fault.
    """
    if faults.strict:
        return  # Ultralytics ignores them too
    unused = unused_label_files(yolo.root, yolo.images, yolo.labels)
    unlisted = with_unlisted_images(unused, yolo.images, yolo.labels)
    if unlisted:
        images = counted(len(unlisted), "image with labels is", "images with labels are")
        first = unlisted[0].name
        warn_once(f"{yolo.root}: {images} in none of its splits (first: {first}), left out")
    for path in sorted({*unused} - {*unlisted}):
        message = f"{path}: there is no readable image of this name"
        faults.note(LABELS_WITHOUT_IMAGE, path.name, message)
    for split, names in yolo.splits.items():
        if names and not any(yolo.labels[name].is_file() for name in names):
            message = f"{yolo.root}: {split} has {counted(len(names), 'image')}, but no labels"
            faults.note(LABELS_NOWHERE, split, message)


def _read_image(
    yolo: YoloFolder, name: str, size: tuple[int, int], clipper: Clipper, faults: Faults
) -> LabelledImage:
    path = yolo.labels[name]
    boxes = []
    for number, label in enumerate(read_labels(path, yolo.names, size, faults), start=1):
        where = f"{path}: box {number}"
        with faults.left_out(BOX_BROKEN, f"{path.name}: box {number}"):
            xyxy = clipper.clip(where, label.xyxy, size, _SLACK * max(size))
            keys: dict[str, Any] = {}
            if label.polygon is not None:
                keys[_SEGMENTATION] = [list(label.polygon)]
            area = None if label.polygon is None else polygon_area(label.polygon)
            boxes.append(LabelledBox(yolo.names[label.index], xyxy, area, keys))
    return LabelledImage(name, *size, boxes)


def _label_text(image: Image, boxes: Sequence[Box], indices: Mapping[int, int]) -> str:
    size = image.width, image.height
    outlines = [outline(box) for box in boxes]
    if any(polygon is not None for polygon in outlines):
        lines = [
            format_polygon(indices[box.category_id], polygon or corners(box.xyxy), size)
            for box, polygon in zip(boxes, outlines, strict=True)
        ]
    else:
        lines = [format_box(indices[box.category_id], box.xyxy, size) for box in boxes]
    return "".join(line + "\n" for line in lines)


def _data_text(dataset: Dataset, names: Sequence[str], base: str) -> str:
    import yaml

    tops = sorted({PurePosixPath(name).parts[0] for name in names})
    splits = {canonical_split(top): top for top in tops}
    prefix = "" if base == "." else f"{base}/"
    # Two folders of one split, such as `val` and `valid`, can't be distinguished again.
    if "train" in splits and splits.keys() <= set(SPLITS) and len(splits) == len(tops):
        places = {split: f"{prefix}{splits[split]}" for split in SPLITS if split in splits}
    else:
        places = {"train": base}
    # No `path`: without one, Ultralytics uses the folder of this file.
    content = {
        "train": places["train"],
        "val": places.get("val", places["train"]),
        **({"test": places["test"]} if "test" in places else {}),
        "names": {
            index: dataset.category_by_id[id].name for id, index in class_indices(dataset).items()
        },
    }
    # Trainers refuse a file without `val`.
    note = "" if "val" in places else "# val: no images were held out; these are those of train\n"
    return note + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _has_own_folder(name: str) -> bool:
    folders = PurePosixPath(name).parts[:-1]
    return IMAGES in folders and folders[0] != IMAGES


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
