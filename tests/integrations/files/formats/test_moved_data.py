"""Data that was moved: parts on another disk, lists of another machine, leftovers of macOS."""

import json
import os
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from sparsedet.integrations.files.formats.image_folders import list_files
from tests.integrations.files.formats.datasets import write, write_image

LINE = "0 0.5 0.5 0.2 0.2\n"
XML = (
    "<annotation><object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object></annotation>"
)
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xff\xfe"


def _yolo(folder: Path, data: str = "train: images\nnames: [dog]\n") -> None:
    write(folder, "data.yaml", data)
    for name in "abc":
        write_image(folder / f"images/{name}.jpg")
        write(folder, f"labels/{name}.txt", LINE)


def _to_another_disk(folder: Path, name: str) -> None:
    other = folder.parent / "disk" / name
    other.parent.mkdir(parents=True, exist_ok=True)
    (folder / name).rename(other)
    (folder / name).symlink_to(other, target_is_directory=True)


@pytest.mark.parametrize("part", ["images", "labels"])
@pytest.mark.parametrize("train", ["images", "."])
def test_a_part_of_a_yolo_folder_may_be_a_link(part: str, train: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    _yolo(folder, f"train: {train}\nnames: [dog]\n")
    _to_another_disk(folder, part)
    assert len(read_dataset(folder).dataset.boxes) == 3


@pytest.mark.parametrize("part", ["images/june", "labels/june"])
@pytest.mark.parametrize("train", ["images", "."])
def test_a_folder_of_images_or_labels_may_be_a_link(part: str, train: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write(folder, "data.yaml", f"train: {train}\nnames: [dog]\n")
    for name in ("june/a", "may/b"):
        write_image(folder / f"images/{name}.jpg")
        write(folder, f"labels/{name}.txt", LINE)
    _to_another_disk(folder, part)
    assert len(read_dataset(folder).dataset.boxes) == 2


def test_a_listing_does_not_ask_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data have 100,000 images, and may be on the disk of another machine."""
    for number in range(200):
        write(tmp_path, f"images/{number}.jpg", "")
    asked: list[Path] = []
    stat = Path.stat

    def counting(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        asked.append(path)
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", counting)
    assert len(list_files(tmp_path, {".jpg"})) == 200
    assert len(asked) < 20


def test_folders_of_splits_may_be_links(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for split, name in (("train", "a"), ("valid", "b")):
        write_image(folder / f"{split}/{name}.jpg")
        write(folder, f"{split}/{name}.xml", XML)
    _to_another_disk(folder, "train")
    assert load_format("voc").splits(folder) == ["train", "val"]
    assert len(read_dataset(folder).dataset.boxes) == 2


def test_dotas_labels_may_be_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_image(folder / "images/a.png")
    write(folder, "labelTxt/a.txt", "1 1 9 1 9 9 1 9 dog 0\n")
    _to_another_disk(folder, "labelTxt")
    assert detect_format(folder) == "dota"
    assert len(read_dataset(folder).dataset.boxes) == 1


@pytest.mark.parametrize("target", [".", "images", "..", "/"])
def test_links_that_lead_back_are_not_followed(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    _yolo(folder, "train: .\nnames: [dog]\n")
    (folder / "val").symlink_to(folder / target, target_is_directory=True)
    assert len(read_dataset(folder).dataset.images) == 3


@pytest.mark.parametrize("before", ["/home/me/set/images", "data/images", "D:\\set\\images"])
def test_lists_of_another_machine(before: str, tmp_path: Path) -> None:
    _yolo(tmp_path, "train: train.txt\nval: val.txt\nnames: [dog]\n")
    mark = "\\" if "\\" in before else "/"
    write(tmp_path, "train.txt", f"{before}{mark}a.jpg\n{before}{mark}b.jpg\n")
    write(tmp_path, "val.txt", f"{before}{mark}c.jpg\n")
    dataset = read_dataset(tmp_path, split="train").dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]


def test_a_list_of_other_data_is_an_error(tmp_path: Path) -> None:
    _yolo(tmp_path, "train: train.txt\nnames: [dog]\n")
    write(tmp_path, "train.txt", "/home/me/other/x.jpg\n/home/me/other/y.jpg\n")
    with pytest.raises(AnnotationError, match=r"train\.txt:1: no image '/home/me/other/x\.jpg'"):
        read_dataset(tmp_path, faults=Faults(tmp_path))


def test_cvats_default_subset(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}],
        "annotations": [],
        "categories": [],
    }
    write(tmp_path, "annotations/instances_default.json", json.dumps(content))
    write_image(tmp_path / "images/default/a.jpg")
    assert read_dataset(tmp_path).images == tmp_path / "images/default"


def test_hidden_files_of_macos_are_passed_over(tmp_path: Path) -> None:
    """Archives have one for every file, and their order in a folder is arbitrary."""
    voc = tmp_path / "voc"
    (voc / "Annotations").mkdir(parents=True)
    (voc / "Annotations/._a.xml").write_bytes(APPLE_DOUBLE)
    assert not load_format("voc").detect(voc)
    write_image(voc / "JPEGImages/b.jpg")
    for number in range(9):  # whatever the order, one comes after the hidden one
        write(voc, f"Annotations/{number}.xml", XML)
        write_image(voc / f"JPEGImages/{number}.jpg")
    assert detect_format(voc) == "voc"
    yolo = tmp_path / "yolo"
    _yolo(yolo)
    (yolo / "data.yaml").unlink()
    write(yolo, "obj.names", "dog\n")
    (yolo / "._obj.names").write_bytes(APPLE_DOUBLE)
    assert len(read_dataset(yolo).dataset.boxes) == 3
    (yolo / "obj.names").unlink()
    (yolo / "._obj.names").unlink()
    write(yolo, "mine.yaml", "train: images\nnames: [dog]\n")
    (yolo / "._mine.yaml").write_bytes(APPLE_DOUBLE)
    assert len(read_dataset(yolo).dataset.boxes) == 3
