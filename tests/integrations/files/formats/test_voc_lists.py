"""Lists of images in Pascal VOC folders, and names as found in practice."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import SparseDetError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import write, write_image

XML = (
    "<annotation><object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object></annotation>"
)


def _with_lists(folder: Path, lists: dict[str, str], names: Sequence[str]) -> None:
    for name in names:
        write(folder, f"Annotations/{name}.xml", XML)
        write_image(folder / f"JPEGImages/{name}.jpg")
    for name, text in lists.items():
        write(folder, f"ImageSets/Main/{name}.txt", text)


@pytest.mark.parametrize(
    "lists",
    [
        {"train": "IMG 1\nIMG 2\n", "val": "IMG 3\n"},
        {"train": "IMG 1  1\nIMG 2 -1\n", "val": "IMG 3  0\n"},
        {"train": "IMG 1.jpg\nIMG 2.jpg\n", "val": "IMG 3.jpg\n"},
    ],
)
def test_lists_name_images_with_spaces_or_suffix(lists: dict[str, str], tmp_path: Path) -> None:
    _with_lists(tmp_path, lists, ["IMG 1", "IMG 2", "IMG 3"])
    assert load_format("voc").splits(tmp_path) == ["train", "val"]
    dataset = read_dataset(tmp_path, split="train").dataset
    assert [image.file_name for image in dataset.images] == ["IMG 1.jpg", "IMG 2.jpg"]


def test_an_image_that_only_a_list_has_is_left_out(tmp_path: Path) -> None:
    _with_lists(tmp_path, {"train": "a\ngone\nb\n", "val": "c\n"}, ["a", "b", "c"])
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, split="train", faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]
    assert faults.lines() == ["missing images: 1 (train.txt:2), left out"]


def test_a_list_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    _with_lists(tmp_path, {"val": "b\n"}, ["a", "b"])
    (tmp_path / "ImageSets/Main/train.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(SparseDetError, match=r"train\.txt: not UTF-8 text"):
        load_format("voc").splits(tmp_path)


def test_suffixes_in_capitals_are_detected(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/A.XML", XML)
    write_image(tmp_path / "JPEGImages/A.JPG")
    assert detect_format(tmp_path) == "voc"
    assert len(read_dataset(tmp_path).dataset.boxes) == 1


@pytest.mark.parametrize("kind", ["folders", "lists"])
def test_a_split_without_xml_files_is_a_fault(kind: str, tmp_path: Path) -> None:
    for split, name in (("train", "a.b"), ("val", "b"), ("test", "c")):
        place = f"{split}/{name}" if kind == "folders" else name
        write_image(tmp_path / f"JPEGImages/{place}.jpg")
        if kind == "lists":
            write(tmp_path, f"ImageSets/Main/{split}.txt", f"{name}\n")
        if split != "val":
            write(tmp_path, f"Annotations/{place}.xml", XML)
    if kind == "lists":  # of images that were not downloaded
        write(tmp_path, "ImageSets/Main/test.txt", "gone\n")
    if kind == "folders":  # as where its disk is not mounted
        (tmp_path / "Annotations/val").symlink_to("/mnt/disk/val", target_is_directory=True)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert (len(dataset.images), len(dataset.boxes)) == (3, 2)
    assert faults.lines() == ["splits without label files: 1 (val), kept, without boxes"]
    assert faults.found[-1].detail.endswith("val has 1 image, but no xml file")
