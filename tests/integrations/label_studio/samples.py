"""Pictures and boxes for projects on a server, and results in the server's format."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE

CATEGORIES = (Category(1, "orange"), Category(2, "parcel"))

# The scene, 640 x 480 pixels: what is on the table, and who has found it.
DRAWN_BY_PEOPLE: dict[str, tuple[int, XYXY]] = {
    "human-orange": (1, (60.0, 230.0, 160.0, 330.0)),
    "human-parcel": (2, (400.0, 250.0, 560.0, 390.0)),
}
FOUND_BY_MODEL: dict[str, tuple[int, XYXY, float]] = {
    "mined-orange": (1, (190.0, 270.0, 290.0, 370.0), 0.97),
    "mined-parcel": (2, (250.0, 110.0, 370.0, 210.0), 0.91),
    "mined-moved": (1, (470.0, 120.0, 560.0, 210.0), 0.78),
    "mined-wrong": (2, (60.0, 60.0, 150.0, 140.0), 0.55),
}
WIDTH, HEIGHT = 640, 480

PLACE = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rotation": 0.0}
"""In percent of the image."""


def rectangle(
    label: str = "cat", size: tuple[int, int] = (WIDTH, HEIGHT), **changes: Any
) -> dict[str, Any]:
    """A rectangle of a `result` list, with these keys changed."""
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": size[0],
        "original_height": size[1],
        "value": {**PLACE, "rectanglelabels": [label]},
        **changes,
    }


def complete_mark(control: str = "sparsedet_complete") -> dict[str, Any]:
    """The result that says that every object has a box."""
    return {
        "id": "mark",
        "from_name": control,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [COMPLETE_CHOICE]},
    }


def scene() -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """A wooden table with oranges and parcels on it, and nothing at `mined-wrong`."""
    noise = np.random.default_rng(1).normal(0, 5, (HEIGHT, WIDTH, 1))
    grain = 9 * np.sin(np.linspace(0, 60, HEIGHT))[:, None, None]
    picture = np.clip(np.array([96, 138, 176]) + grain + noise, 0, 255).astype(np.uint8)
    shapes = [*DRAWN_BY_PEOPLE.values(), *((c, box) for c, box, _ in FOUND_BY_MODEL.values())]
    wrong = FOUND_BY_MODEL["mined-wrong"][1]
    for category, box in shapes:
        if box == wrong:
            continue
        left, top, right, bottom = (int(edge) for edge in box)
        (_orange if category == 1 else _parcel)(picture, left, top, right, bottom)
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), dtype=np.uint8)


def write_images(folder: Path, count: int = 1) -> Dataset:
    """Write `count` copies of the scene; return them with the boxes that people drew."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = scene()
    images = tuple(
        Image(number, f"table {number}.jpg", WIDTH, HEIGHT) for number in range(1, count + 1)
    )
    boxes: list[Box] = []
    for image in images:
        assert cv2.imwrite(str(folder / image.file_name), picture)
        for name, (category, xyxy) in DRAWN_BY_PEOPLE.items():
            boxes.append(Box(len(boxes) + 1, image.id, category, xyxy, tool_id=name))
    return Dataset(images, tuple(boxes), CATEGORIES)


def mined_boxes(dataset: Dataset) -> list[MinedBox]:
    """What the model finds on every image; on image n the ids end with its number."""
    return [
        MinedBox(f"{name}-{number}", image.id, category, xyxy, score, threshold=0.4)
        for number, image in enumerate(dataset.images, start=1)
        for name, (category, xyxy, score) in FOUND_BY_MODEL.items()
    ]


def write_workspace_mined(dataset: Dataset, folder: Path, run_id: str = "run-1") -> Path:
    """Write mined.json as `sparsedet mine` does."""
    path = folder / "mined.json"
    write_mined(mined_boxes(dataset), {"run_id": run_id}, path)
    write_coco(dataset, folder / "train.json")
    return path


def _orange(
    picture: "np.ndarray[Any, np.dtype[np.uint8]]", left: int, top: int, right: int, bottom: int
) -> None:
    center, radius = ((left + right) // 2, (top + bottom) // 2), (right - left) // 2 - 1
    cv2.ellipse(picture, (center[0] + 6, bottom - 4), (radius, 10), 0, 0, 360, (70, 100, 130), -1)
    for step in range(radius, 0, -2):
        light = 1 - step / radius
        color = (20 + 70 * light, 120 + 70 * light, 225 + 30 * light)
        shift = int(radius * light * 0.35)
        cv2.circle(picture, (center[0] - shift, center[1] - shift), step, color, -1, cv2.LINE_AA)


def _parcel(
    picture: "np.ndarray[Any, np.dtype[np.uint8]]", left: int, top: int, right: int, bottom: int
) -> None:
    cv2.rectangle(picture, (left + 1, top + 1), (right - 1, bottom - 1), (90, 150, 190), -1)
    middle = (left + right) // 2
    cv2.rectangle(picture, (middle - 9, top + 1), (middle + 9, bottom - 1), (150, 200, 225), -1)
    cv2.rectangle(picture, (left + 1, top + 1), (right - 1, bottom - 1), (50, 90, 120), 3)


NONE_OF_THE_MINED: dict[str, Any] = dict.fromkeys(
    [name.replace("-", "_") for name in FOUND_BY_MODEL]
)
