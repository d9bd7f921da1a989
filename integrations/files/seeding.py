"""Making a project folder of a dataset, for demos and tests."""

import re
from itertools import count
from pathlib import Path

from sparsedet.annotations import Dataset, check_images, write_coco
from sparsedet.atomic_io import atomic_folder
from sparsedet.errors import ToolError
from sparsedet.tool import Progress, no_progress

from .images import link_images
from .project import ANNOTATIONS

_MAX_NAME = 50


def seed_project(
    root: Path, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
) -> str:
    """Make a project of the images and annotations of `dataset`; return its name below `root`.

    The name is made from the title; a second project of the same title gets a number.

    Raises:
        AnnotationError: when an image is missing or of another size.
        ToolError: when no name can be made from the title.
    """
    check_images(dataset, images)
    name = _free_name(root, title)
    with atomic_folder(root / name) as folder:
        names = (image.file_name for image in dataset.images)
        link_images(names, images, folder / "images", progress)
        write_coco(dataset, folder / ANNOTATIONS)
    return name


def _free_name(root: Path, title: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_MAX_NAME]
    if not slug:
        raise ToolError(f"title {title!r} has no letter or digit to name a folder by")
    names = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
    return next(name for name in names if not (root / name).exists())
