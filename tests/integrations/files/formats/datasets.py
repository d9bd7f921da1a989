"""Datasets of all kinds, and image files for them."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
from hypothesis import strategies as st

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image

SIZES = [(120, 80), (33, 47), (640, 427)]
NAMES = ["a.jpg", "b.png", "day/a.jpg", "day/c d.png", "night/é.jpg", "train/x.jpg", "val/y.jpg"]
CLASSES = ["cat", "dog & <bone>", "Straße", "traffic light", "7"]


@st.composite
def datasets(draw: st.DrawFn, extras: st.SearchStrategy[dict[str, Any]] | None = None) -> Dataset:
    """Draw up to 7 images with up to 4 boxes each; ids are as they come."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    ids = draw(st.lists(st.integers(1, 99), min_size=7, max_size=7, unique=True))
    images = tuple(
        Image(number, name, *draw(st.sampled_from(SIZES)))
        for number, name in zip(ids, names, strict=False)
    )
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=1, unique=True))
    numbers = draw(st.lists(st.integers(0, 99), min_size=5, max_size=5, unique=True))
    categories = tuple(Category(n, c) for n, c in zip(numbers, classes, strict=False))
    boxes: list[Box] = []
    for image in images:
        for _ in range(draw(st.integers(0, 4))):
            boxes.append(
                Box(
                    len(boxes) + 1,
                    image.id,
                    draw(st.sampled_from(categories)).id,
                    draw(boxes_in(image.width, image.height)),
                    extra=draw(extras) if extras is not None else {},
                )
            )
    return Dataset(images, tuple(boxes), categories)


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> XYXY:
    """Draw a box of a pixel or more, with at most 4 decimals, inside an image."""
    left = draw(st.integers(0, (width - 1) * 10_000))
    top = draw(st.integers(0, (height - 1) * 10_000))
    right = draw(st.integers(left + 10_000, width * 10_000))
    bottom = draw(st.integers(top + 10_000, height * 10_000))
    return left / 10_000, top / 10_000, right / 10_000, bottom / 10_000


def write(folder: Path, name: str, content: str) -> Path:
    """Write a text file, with its folders; return it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def write_images(dataset: Dataset, folder: Path) -> Path:
    """Write one picture for each image; return the folder."""
    for image in dataset.images:
        write_image(folder / image.file_name, image.width, image.height)
    return folder


def write_image(path: Path, width: int = 120, height: int = 80, orientation: int = 1) -> None:
    """Write a grey picture of stored width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_picture(path.suffix.lower(), width, height, orientation))


@cache
def _picture(suffix: str, width: int, height: int, orientation: int) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    content = BytesIO()
    format = PIL.Image.registered_extensions()[suffix]
    PIL.Image.new("L", (width, height)).save(content, format, exif=exif)
    return content.getvalue()


def objects(dataset: Dataset) -> dict[str, list[tuple[str, Any]]]:
    """Return class and XYXY box of all objects by file name, in the order of the boxes.

    The boxes have no type, so that they can be compared with `pytest.approx`.
    """
    return {
        image.file_name: [
            (dataset.category_by_id[box.category_id].name, box.xyxy)
            for box in dataset.boxes_by_image[image.id]
        ]
        for image in dataset.images
    }


def sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Return the sizes of all images by file name."""
    return {image.file_name: (image.width, image.height) for image in dataset.images}
