"""YOLO in the layouts of Darknet, CVAT and Roboflow's Darknet export."""

import logging
from pathlib import Path

import pytest

from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

LINE = "1 0.5 0.5 0.1 0.2\n"
OBJECT = ("an owl", pytest.approx((54, 32, 66, 48)))
DATA = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"


def cvat_yolo(folder: Path) -> Path:
    """Write what CVAT exports as "YOLO 1.1"."""
    write(folder, "obj.data", DATA)
    write(folder, "obj.names", "dog\nan owl\n")
    for split, names in (("train", ["a b", "b"]), ("valid", ["c"])):
        inner = f"obj_{split}_data"
        write(folder, f"{split}.txt", "".join(f"data/{inner}/{name}.jpg\n" for name in names))
        for name in names:
            write(folder, f"{inner}/{name}.txt", LINE)
            write_image(folder / inner / f"{name}.jpg")
    return folder


@pytest.mark.parametrize("file", ["", "obj.data"])
def test_cvat_yolo(file: str, tmp_path: Path) -> None:
    path = cvat_yolo(tmp_path) / file
    assert detect_format(path) == "yolo"
    dataset, images = read_dataset(path)
    assert images == tmp_path
    assert objects(dataset) == {
        "obj_train_data/a b.jpg": [OBJECT],
        "obj_train_data/b.jpg": [OBJECT],
        "obj_valid_data/c.jpg": [OBJECT],
    }
    assert [category.name for category in dataset.categories] == ["dog", "an owl"]
    assert load_format("yolo").splits(path) == ["train", "val"]
    assert list(objects(read_dataset(path, split="val").dataset)) == ["obj_valid_data/c.jpg"]


def test_labels_without_images_take_a_folder_of_them(tmp_path: Path) -> None:
    folder = cvat_yolo(tmp_path / "export")
    for image in list(folder.rglob("*.jpg")):
        image.rename(tmp_path / image.name)
    dataset = read_dataset(folder, images=tmp_path).dataset
    assert load_format("yolo").splits(folder, tmp_path) == ["train", "val"]
    assert objects(dataset) == {"a b.jpg": [OBJECT], "b.jpg": [OBJECT], "c.jpg": [OBJECT]}


def test_lists_from_another_machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cvat_yolo(tmp_path)
    write(tmp_path, "valid.txt", "/home/me/darknet/obj_valid_data/c.jpg\n/home/me/gone.jpg\n")
    with caplog.at_level(logging.WARNING):
        assert len(read_dataset(tmp_path, split="val").dataset.boxes) == 1
    assert "valid.txt: 1 of its 2 images are not in" in caplog.text


def test_roboflow_darknet(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write(tmp_path, f"{split}/_darknet.labels", "dog\nan owl\n")
        write(tmp_path, f"{split}/a.txt", LINE)
        write_image(tmp_path / split / "a.jpg")
    assert detect_format(tmp_path) == "yolo"
    assert objects(read_dataset(tmp_path).dataset) == {
        "train/a.jpg": [OBJECT],
        "valid/a.jpg": [OBJECT],
    }
    assert load_format("yolo").splits(tmp_path) == ["train", "val"]


def test_names_that_are_not_there(tmp_path: Path) -> None:
    cvat_yolo(tmp_path)
    (tmp_path / "obj.names").unlink()
    with pytest.raises(
        AnnotationError, match=r"obj\.data: takes the class names from data/obj\.names"
    ):
        read_dataset(tmp_path)
