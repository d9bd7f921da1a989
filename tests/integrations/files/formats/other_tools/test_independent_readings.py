"""The same random boxes in every format, read by us and by third-party code."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from sparsedet.formats import detect_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

WIDTH, HEIGHT = 120, 80
CLASSES = ["cat", "dog", "owl"]
Found = list[tuple[Any, ...]]
"""Image without suffix, class, and XYXY box in pixels, sorted."""


def _random_boxes() -> Found:
    numbers = random.Random(7)
    found: Found = []
    for image in range(12):
        for _ in range(numbers.randint(0, 5)):
            left, top = numbers.randint(0, 80), numbers.randint(0, 50)
            right, bottom = left + numbers.randint(3, 40), top + numbers.randint(3, 30)
            found.append((f"im {image}", numbers.choice(CLASSES), left, top, right, bottom))
    return sorted(found)


BOXES = _random_boxes()


def _by_image() -> Iterator[tuple[str, Found]]:
    for image in sorted({f"im {n}" for n in range(12)}):
        yield image, [box for box in BOXES if box[0] == image]


def _center(box: list[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _write_cvat(folder: Path) -> None:
    root = ET.Element("annotations")
    for image, boxes in _by_image():
        entry = ET.SubElement(root, "image", name=f"{image}.jpg", width="120", height="80")
        for _, label, *corners in boxes:
            box = ET.SubElement(entry, "box", label=label)
            for key, value in zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True):
                box.set(key, str(value))
    write(folder, "annotations.xml", ET.tostring(root, encoding="unicode"))


def _read_cvat(folder: Path) -> Found:
    return [
        (
            image.attrib["name"][:-4],
            box.attrib["label"],
            *(float(box.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr")),
        )
        for image in ET.parse(folder / "annotations.xml").iterfind("image")
        for box in image.iterfind("box")
    ]


def _write_labelme(folder: Path) -> None:
    for image, boxes in _by_image():
        shapes = [
            {"label": label, "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle"}
            for _, label, x1, y1, x2, y2 in boxes
        ]
        size = {"imagePath": f"../images/{image}.jpg", "imageWidth": 120, "imageHeight": 80}
        content = {"version": "5.4", "shapes": shapes, "imageData": None, **size}
        write(folder, f"labels/{image}.json", json.dumps(content))


def _read_by_supervision(kind: str) -> Callable[[Path], Found]:
    def read(folder: Path) -> Found:
        import supervision

        if kind == "labelme":
            data = supervision.DetectionDataset.from_labelme(
                str(folder / "images"), str(folder / "labels")
            )
        else:
            data = supervision.DetectionDataset.from_createml(
                str(folder / "images"), str(folder / "labels.json")
            )
        return [
            (Path(path).stem, data.classes[label], *map(float, corners))
            for path, found in data.annotations.items()
            for label, corners in zip(np.asarray(found.class_id).tolist(), found.xyxy, strict=True)
        ]

    return read


def _write_createml(folder: Path) -> None:
    content = [
        {
            "image": f"{image}.jpg",
            "annotations": [
                {
                    "label": label,
                    "coordinates": dict(
                        zip(("x", "y", "width", "height"), _center(corners), strict=True)
                    ),
                }
                for _, label, *corners in boxes
            ],
        }
        for image, boxes in _by_image()
    ]
    write(folder, "labels.json", json.dumps(content))


def _write_open_images(folder: Path) -> None:
    lines = ["ImageID,LabelName,XMin,XMax,YMin,YMax"]
    lines += [
        f"{image},{label},{x1 / WIDTH},{x2 / WIDTH},{y1 / HEIGHT},{y2 / HEIGHT}"
        for image, label, x1, y1, x2, y2 in BOXES
    ]
    write(folder, "train-annotations-bbox.csv", "\n".join(lines))


def _read_open_images(folder: Path) -> Found:
    with (folder / "train-annotations-bbox.csv").open() as file:
        return [
            (
                row["ImageID"],
                row["LabelName"],
                float(row["XMin"]) * WIDTH,
                float(row["YMin"]) * HEIGHT,
                float(row["XMax"]) * WIDTH,
                float(row["YMax"]) * HEIGHT,
            )
            for row in csv.DictReader(file)
        ]


def _write_dota(folder: Path) -> None:
    for image, boxes in _by_image():
        lines = [
            f"{x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2} {c} 0\n" for _, c, x1, y1, x2, y2 in boxes
        ]
        write(folder, f"labelTxt/{image}.txt", "imagesource:x\ngsd:1\n" + "".join(lines))


def _read_dota(folder: Path) -> Found:
    found: Found = []
    for file in (folder / "labelTxt").iterdir():
        for line in file.read_text().splitlines()[2:]:
            *corners, label, _ = line.split()
            xs, ys = sorted(map(float, corners[::2])), sorted(map(float, corners[1::2]))
            found.append((file.stem, label, xs[0], ys[0], xs[-1], ys[-1]))
    return found


def _write_label_studio(folder: Path) -> None:
    tasks: list[dict[str, object]] = []
    for image, boxes in _by_image():
        result = [
            {
                "type": "rectanglelabels",
                "original_width": WIDTH,
                "original_height": HEIGHT,
                "value": {
                    "x": x1 / WIDTH * 100,
                    "y": y1 / HEIGHT * 100,
                    "width": (x2 - x1) / WIDTH * 100,
                    "height": (y2 - y1) / HEIGHT * 100,
                    "rectanglelabels": [label],
                },
            }
            for _, label, x1, y1, x2, y2 in boxes
        ]
        data = {"image": f"/data/upload/1/0123abcd-{image}.jpg"}
        tasks.append({"id": len(tasks), "data": data, "annotations": [{"result": result}]})
    write(folder, "export.json", json.dumps(tasks))


def _read_label_studio(folder: Path) -> Found:
    found: Found = []
    for task in json.loads((folder / "export.json").read_text()):
        for region in task["annotations"][0]["result"]:
            at = region["value"]
            left, top = at["x"] * WIDTH / 100, at["y"] * HEIGHT / 100
            right, bottom = left + at["width"] * WIDTH / 100, top + at["height"] * HEIGHT / 100
            name = task["data"]["image"].split("-")[1][:-4]
            found.append((name, at["rectanglelabels"][0], left, top, right, bottom))
    return found


@pytest.mark.parametrize(
    ("format", "written", "read"),
    [
        ("cvat", _write_cvat, _read_cvat),
        ("labelme", _write_labelme, _read_by_supervision("labelme")),
        ("createml", _write_createml, _read_by_supervision("createml")),
        ("open-images", _write_open_images, _read_open_images),
        ("dota", _write_dota, _read_dota),
        ("label-studio", _write_label_studio, _read_label_studio),
    ],
)
def test_both_readings_are_the_same(
    format: str, written: Callable[[Path], None], read: Callable[[Path], Found], tmp_path: Path
) -> None:
    for image, _ in _by_image():
        write_image(tmp_path / "images" / f"{image}.jpg", WIDTH, HEIGHT)
    written(tmp_path)
    assert detect_format(tmp_path) == format
    dataset = read_dataset(tmp_path).dataset
    ours = [
        (PurePosixPath(image).stem, label, *corners)
        for image, found in objects(dataset).items()
        for label, corners in found
    ]
    assert len(ours) == len(BOXES)
    for own, other in zip(_rounded(ours), _rounded(read(tmp_path)), strict=True):
        assert own == other
    assert _rounded(ours) == _rounded(BOXES)
    # Open Images says nothing of images without boxes.
    empty = sum(not boxes for _, boxes in _by_image())
    assert empty > 0
    assert len(dataset.images) == 12 - (empty if format == "open-images" else 0)


def _rounded(found: Found) -> Found:
    """The numbers are whole, but for the noise of shares and float32."""
    return sorted((i, c, *(float(round(value)) for value in xyxy)) for i, c, *xyxy in found)
