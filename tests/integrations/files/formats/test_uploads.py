"""Exports of Label Studio without images: the names of uploads have a prefix."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import read_dataset
from tests.integrations.files.formats.datasets import write, write_image

XML = (
    "<annotation><filename>{0}.jpg</filename><object><name>cat</name><bndbox><xmin>11</xmin>"
    "<ymin>11</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object></annotation>"
)


def export(folder: Path, format: str, names: list[str]) -> None:
    if format == "coco":
        images = [
            {"id": id, "file_name": f"../../media/upload/1/{name}.jpg", "width": 120, "height": 80}
            for id, name in enumerate(names)
        ]
        boxes = [
            {"id": id, "image_id": id, "category_id": 0, "bbox": [10, 10, 20, 20]}
            for id in range(len(names))
        ]
        categories = [{"id": 0, "name": "cat"}]
        content = {"images": images, "annotations": boxes, "categories": categories}
        write(folder, "result.json", json.dumps(content))
    for name in names:
        if format == "voc":
            write(folder, f"Annotations/{name}.xml", XML.format(name))
        if format == "yolo":
            write(folder, "classes.txt", "cat\n")
            box = f"0 {20 / 120} 0.25 {20 / 120} 0.25\n"
            write(folder, f"labels/{name}.txt", box)


def read(folder: Path) -> Dataset:
    faults = Faults(folder)
    dataset = read_dataset(folder, faults=faults).dataset
    faults.check()
    return dataset


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_the_files_that_were_uploaded_are_the_images(format: str, tmp_path: Path) -> None:
    export(tmp_path, format, ["3f2a1c9d-a", "0b5c6d7e-b"])
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_image(tmp_path / "images" / name)
    dataset = read(tmp_path)
    names = {image.id: image.file_name for image in dataset.images}
    boxes = {names[box.image_id]: box.xyxy for box in dataset.boxes}
    assert boxes == dict.fromkeys(("a.jpg", "b.jpg"), pytest.approx((10, 10, 30, 30)))


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_one_file_is_not_the_image_of_two_uploads(format: str, tmp_path: Path) -> None:
    export(tmp_path, format, ["3f2a1c9d-a", "0b5c6d7e-a"])
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(AnnotationError, match=r"no label file|image is not in|not in .*images"):
        read(tmp_path)
