"""Annotated images: the `Dataset` type, COCO JSON, and checks of the image files."""

from sparsedet.annotations.coco import read_coco, write_coco
from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.images import (
    check_images,
    file_digest,
    read_image,
    read_upright,
    upright_size,
)
from sparsedet.annotations.model import XYXY, Box, Category, Image

__all__ = [
    "XYXY",
    "Box",
    "Category",
    "Dataset",
    "Image",
    "check_images",
    "file_digest",
    "read_coco",
    "read_image",
    "read_upright",
    "upright_size",
    "write_coco",
]
