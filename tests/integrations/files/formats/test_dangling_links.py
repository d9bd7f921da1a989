"""Links to files that don't exist: their images are not images without objects."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import read_dataset
from tests.integrations.files.formats.datasets import write, write_image
from tests.integrations.files.formats.found_files import LINE, NAMES, XML


def _images(folder: Path) -> None:
    for name in "abc":
        write_image(folder / f"{name}.jpg")


def voc(folder: Path) -> Path:
    _images(folder / "JPEGImages")
    for name in "ab":
        write(folder, f"Annotations/{name}.xml", XML)
    return folder / "Annotations/c.xml"


def yolo(folder: Path) -> Path:
    write(folder, "data.yaml", NAMES)
    _images(folder / "images")
    for name in "ab":
        write(folder, f"labels/{name}.txt", LINE)
    return folder / "labels/c.txt"


def labelme(folder: Path) -> Path:
    shape = {"label": "dog", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
    _images(folder)
    for name in "ab":
        content = {"shapes": [shape], "imagePath": f"{name}.jpg"}
        write(folder, f"{name}.json", json.dumps(content))
    return folder / "c.json"


def dota(folder: Path) -> Path:
    _images(folder / "images")
    for name in "ab":
        write(folder, f"labelTxt/{name}.txt", "1 1 9 1 9 9 1 9 dog 0\n")
    return folder / "labelTxt/c.txt"


@pytest.mark.parametrize("target", ["gone", "itself"])
@pytest.mark.parametrize("make", [voc, yolo, labelme, dota])
def test_the_image_of_a_dangling_label_file_is_left_out(
    make: Callable[[Path], Path], target: str, tmp_path: Path
) -> None:
    link = make(tmp_path)
    link.symlink_to(link.name if target == "itself" else "/mnt/disk/labels")
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]
    assert [fault.kind.name for fault in faults.found] == ["labels-broken"]
    if target == "gone":
        said = f"{link.name}: is a link to /mnt/disk/labels, which does not exist"
        assert said in faults.found[0].detail
    with pytest.raises(SparseDetError, match=link.name):
        read_dataset(tmp_path)


def test_a_split_of_coco(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}
    content = {"images": [image], "annotations": [], "categories": []}
    write(tmp_path, "train.json", json.dumps(content))
    (tmp_path / "val.json").symlink_to("gone.json")
    with pytest.raises(AnnotationError, match=r"val\.json: is a link to gone\.json, which does"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["annotations.json", "annotations.xml", "labels"])
def test_the_only_annotations(name: str, tmp_path: Path) -> None:
    _images(tmp_path / "images")
    (tmp_path / name).symlink_to("gone")
    with pytest.raises(AnnotationError, match=rf"{name} is a link to gone, which does not exist"):
        read_dataset(tmp_path)
