"""Data that are unusual, but as they should be: no classes, empty splits, names as addresses."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import load_format, read_dataset
from tests.integrations.files.formats.datasets import write, write_image
from tests.integrations.files.formats.found_files import LINE


def coco(file: Path, names: Sequence[str]) -> None:
    images = [
        {"id": number, "file_name": name, "width": 120, "height": 80}
        for number, name in enumerate(names, start=1)
    ]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    write(file.parent, file.name, json.dumps(content))


@pytest.mark.parametrize("names", ["[]", "{}"])
def test_yolo_without_classes(names: str, tmp_path: Path) -> None:
    write(tmp_path, "data.yaml", f"train: images\nnc: 0\nnames: {names}\n")
    for name in "ab":
        write_image(tmp_path / f"images/{name}.jpg")
        write(tmp_path, f"labels/{name}.txt", LINE if name == "b" else "")
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert (len(dataset.images), dataset.categories) == (2, ())
    assert faults.found[0].detail.endswith("b.txt:1: class 0 is not one of the 0 classes")


def test_what_is_written_without_classes_can_be_read(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg")
    dataset = Dataset((Image(1, "a.jpg", 120, 80),), (), ())
    (out := tmp_path / "out").mkdir()
    load_format("yolo").write(dataset, out, images=tmp_path / "images")
    assert read_dataset(out).dataset == dataset


def test_an_empty_split_needs_no_images(tmp_path: Path) -> None:
    for split, names in (("train", ["a.jpg"]), ("valid", ["b.jpg"]), ("test", [])):
        coco(tmp_path / split / "_annotations.coco.json", names)
        for name in names:
            write_image(tmp_path / split / name)
    dataset, images = read_dataset(tmp_path, faults=Faults(tmp_path))
    assert [image.file_name for image in dataset.images] == ["train/a.jpg", "valid/b.jpg"]
    assert images == tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("https://labels.example.com/data/set/a.jpg?X-Amz-Signature=0/1%20", "a.jpg"),
        ("s3://bucket/set/a%20b.jpg", "a b.jpg"),
        ("/data/local-files/?d=set/a.jpg", "a.jpg"),
        ("a.jpg", "dog/a.jpg"),  # in a folder of its class, which the name does not have
        ("https://[/a.jpg", "a.jpg"),
    ],
)
def test_names_of_coco_images(name: str, file: str, tmp_path: Path) -> None:
    coco(tmp_path / "annotations.json", [name])
    write_image(tmp_path / "images" / file)
    dataset = read_dataset(tmp_path, faults=Faults(tmp_path)).dataset
    assert [image.file_name for image in dataset.images] == [file]


def test_a_name_without_folder_may_be_in_one_folder_only(tmp_path: Path) -> None:
    coco(tmp_path / "annotations.json", ["a.jpg", "b.jpg", "day/c.jpg"])
    for name in ("dog/a.jpg", "cat/a.jpg", "cat/b.jpg", "night/c.jpg"):
        write_image(tmp_path / "images" / name)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["cat/b.jpg"]
    assert [fault.kind.name for fault in faults.found] == ["image-missing"] * 2


@pytest.mark.parametrize("format", ["voc", "label-studio"])
def test_only_some_of_many_unused_classes_are_named(format: str) -> None:
    categories = tuple(Category(number, f"class {number}") for number in range(10_000))
    lost = load_format(format).losses(Dataset((), (), categories))
    first = ", ".join(category.name for category in categories[:10])
    assert lost == [f"classes without boxes: {first} and 9990 more (10000)"]


@pytest.mark.parametrize("box", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.1]])
def test_shares_are_not_read_as_pixels(box: list[float], tmp_path: Path) -> None:
    coco(tmp_path / "annotations.json", ["a.jpg"])
    write_image(tmp_path / "images/a.jpg")
    content = json.loads((tmp_path / "annotations.json").read_text())
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box}
    write(tmp_path, "annotations.json", json.dumps(content | {"annotations": [entry]}))
    with pytest.raises(AnnotationError, match="its only box is within the first pixel"):
        read_dataset(tmp_path, faults=Faults(tmp_path))
    others = [entry, entry | {"id": 2, "bbox": [1, 1, 9, 9]}]
    write(tmp_path, "annotations.json", json.dumps(content | {"annotations": others}))
    assert len(read_dataset(tmp_path, faults=Faults(tmp_path)).dataset.boxes) == 2
    # Two tools with different units.
    others = [entry | {"id": n, "bbox": box if n < 4 else [1, 1, 9, 9]} for n in range(12)]
    write(tmp_path, "annotations.json", json.dumps(content | {"annotations": others}))
    with pytest.raises(AnnotationError, match="4 of 12 boxes are within the first pixel"):
        read_dataset(tmp_path, faults=Faults(tmp_path))
