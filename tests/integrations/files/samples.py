"""A small project, and other tools' changes to its files."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.mined_boxes import MinedBox

WIDTH, HEIGHT = 120, 80
PROJECT: dict[str, Any] = {
    "info": {"contributor": "the annotators"},
    "images": [
        {"id": 4, "file_name": "day/a.png", "width": WIDTH, "height": HEIGHT, "camera": "north"},
        {"id": 9, "file_name": "night/b.png", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "empty.png", "width": WIDTH, "height": HEIGHT, "exhaustive": True},
    ],
    "annotations": [
        {"id": 11, "image_id": 4, "category_id": 1, "bbox": [10, 10, 20, 20], "occluded": True},
        {"id": 12, "image_id": 4, "category_id": 2, "bbox": [80, 40, 20, 30], "tool_id": "left"},
        {"id": 30, "image_id": 9, "category_id": 1, "bbox": [5, 5, 30, 30], "origin": "accepted"},
    ],
    "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
    "background": [{"id": 1, "image_id": 9, "category_id": 2, "bbox": [60, 10, 20, 20]}],
}

FOUND: dict[str, tuple[int, int, XYXY, float]] = {
    # region id: (image, category, box, score)
    "good": (4, 1, (40, 10, 60, 30), 0.9),
    "wrong": (4, 2, (40, 50, 60, 70), 0.6),
    "near": (9, 1, (70, 40, 100, 70), 0.95),
}


def write_project(folder: Path) -> None:
    """Write a project of three images."""
    for number, image in enumerate(PROJECT["images"]):
        path = folder / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 40 * number, dtype=np.uint8))
    write(folder / "annotations.json", PROJECT)


def mined_boxes(dataset: Dataset, prefix: str = "") -> list[MinedBox]:
    """What a model finds in the project."""
    return [
        MinedBox(prefix + name, image, category, xyxy, score, threshold=0.5)
        for name, (image, category, xyxy, score) in FOUND.items()
    ]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def strip(content: Any) -> Any:
    """What comes out of a tool that knows COCO's keys only, and renumbers everything.

    So CVAT does: images sorted by name, annotations in another order, two decimals.
    """
    images = sorted(content["images"], key=lambda image: image["file_name"])
    numbers = {image["id"]: number for number, image in enumerate(images, start=1)}
    categories = sorted(content["categories"], key=lambda category: category["name"])
    classes = {category["id"]: number for number, category in enumerate(categories, start=1)}
    return {
        "images": [
            {"id": numbers[i["id"]], **{key: i[key] for key in ("file_name", "width", "height")}}
            for i in images
        ],
        "annotations": [
            {
                "id": number,
                "image_id": numbers[entry["image_id"]],
                "category_id": classes[entry["category_id"]],
                "bbox": [round(value, 2) for value in entry["bbox"]],
                "attributes": {"occluded": False},
            }
            for number, entry in enumerate(reversed(content["annotations"]), start=1)
        ],
        "categories": [{"id": classes[c["id"]], "name": c["name"]} for c in categories],
    }


def boxes_of(path: Path, file_name: str) -> dict[str, tuple[str, list[float], str | None]]:
    """Return category, XYWH box and origin of an image's annotations, by tool id or id."""
    content = read(path)
    names = {category["id"]: category["name"] for category in content["categories"]}
    (image,) = (i["id"] for i in content["images"] if i["file_name"] == file_name)
    return {
        str(entry.get("tool_id", entry["id"])): (
            names[entry["category_id"]],
            entry["bbox"],
            entry.get("origin"),
        )
        for entry in content["annotations"]
        if entry["image_id"] == image
    }
