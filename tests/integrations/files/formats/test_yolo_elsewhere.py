"""YOLO's yaml files that are not in the folder of their data, as Ultralytics keeps them."""

from contextlib import chdir
from pathlib import Path

import pytest

from sparsedet.errors import AnnotationError
from sparsedet.formats import load_format, read_dataset
from tests.integrations.files.formats.datasets import write, write_image
from tests.integrations.files.formats.found_files import LINE

ENTRIES = "train: images/train\nval: images/val\nnames: [dog]\n"


def data(folder: Path, names: str = "ab") -> Path:
    for split, name in zip(("train", "val"), names, strict=True):
        write_image(folder / f"images/{split}/{name}.jpg")
        write(folder, f"labels/{split}/{name}.txt", LINE)
    return folder


def names(path: Path, split: str | None = None) -> list[str]:
    return [image.file_name for image in read_dataset(path, split=split).dataset.images]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("relative", "../datasets/pets"),
        ("absolute", "{root}/datasets/pets"),
        ("windows", "..\\datasets\\pets"),
    ],
)
def test_the_data_are_where_path_leads(
    name: str, path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = data(tmp_path / "datasets/pets")
    yaml = write(tmp_path, f"yolo/{name}.yaml", f"path: {path.format(root=tmp_path)}\n{ENTRIES}")
    # The folder of Ultralytics' own yaml files has other images.
    write_image(tmp_path / "yolo/images/bus.jpg")
    loaded = read_dataset(yaml)
    assert loaded.images == folder / "images"
    assert len(loaded.dataset.boxes) == 2
    assert load_format("yolo").splits(yaml) == ["train", "val"]
    assert names(yaml, split="val") == ["val/b.jpg"]
    assert caplog.text.count(f"{yaml}: its data are in {folder}, where its `path` leads") == 1


def test_path_may_be_relative_to_the_current_folder(tmp_path: Path) -> None:
    data(tmp_path / "datasets/pets")
    yaml = write(tmp_path, "yolo/cfg/pets.yaml", f"path: ../datasets/pets\n{ENTRIES}")
    with chdir(tmp_path / "yolo"):
        assert names(yaml) == ["train/a.jpg", "val/b.jpg"]


@pytest.mark.parametrize("path", ["../datasets/pets", "{root}/datasets/pets", "."])
def test_data_next_to_the_file_come_first(path: str, tmp_path: Path) -> None:
    data(tmp_path / "datasets/pets", "xy")
    copy = data(tmp_path / "copy")
    yaml = write(copy, "data.yaml", f"path: {path.format(root=tmp_path)}\n{ENTRIES}")
    with chdir(tmp_path / "datasets/pets"):
        assert names(copy) == names(yaml) == ["train/a.jpg", "val/b.jpg"]


@pytest.mark.parametrize(
    ("path", "tried"),
    [
        ("../datasets/pets", "and none in {root}/datasets/pets, where"),
        ("/home/me/pets", "and none in /home/me/pets, where"),
        ("D:\\pets", "and none in D:/pets, where"),
        (".", "{root}/yolo/images; put them there"),
    ],
)
def test_if_there_are_none_the_error_names_where_they_may_be(
    path: str, tried: str, tmp_path: Path
) -> None:
    yaml = write(tmp_path, "yolo/pets.yaml", f"path: {path}\n{ENTRIES}")
    data(tmp_path / "here")
    with chdir(tmp_path / "here"), pytest.raises(AnnotationError) as error:
        read_dataset(yaml)
    assert tried.format(root=tmp_path) in str(error.value)
    assert "pass their folder with --images" in str(error.value)


def test_images_elsewhere_bring_their_labels(tmp_path: Path) -> None:
    folder = data(tmp_path / "moved")
    yaml = write(tmp_path, "yolo/pets.yaml", f"path: /home/me/pets\n{ENTRIES}")
    loaded = read_dataset(yaml, images=folder / "images")
    assert len(loaded.dataset.boxes) == 2


def test_folders_in_other_capitals(tmp_path: Path) -> None:
    data(tmp_path)
    write(tmp_path, "data.yaml", "train: Images/Train\nval: IMAGES/val\nnames: [dog]\n")
    assert load_format("yolo").splits(tmp_path) == ["train", "val"]


@pytest.mark.parametrize(
    "before", ["/content/pets/", "/kaggle/input/pets/", "D:\\pets\\", "../data/pets/", "data/pets/"]
)
def test_folders_of_another_machine(
    before: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data(tmp_path)
    entries = f"train: {before}images/train\nval: {before}images/val\n"
    write(tmp_path, "data.yaml", f"{entries}names: [dog]\n")
    assert load_format("yolo").splits(tmp_path) == ["train", "val"]
    assert names(tmp_path, split="val") == ["val/b.jpg"]
    said = f"val is {before}images/val; used {tmp_path / 'images/val'}"
    assert caplog.text.count(said) == 1  # although the file was read twice


def test_a_missing_split_of_another_machine_is_not_all_images(tmp_path: Path) -> None:
    data(tmp_path)
    entries = "train: /content/pets/images/train\nval: /content/pets/valid/images\n"
    write(tmp_path, "data.yaml", f"{entries}names: [dog]\n")
    assert load_format("yolo").splits(tmp_path) == []
    assert names(tmp_path) == ["train/a.jpg"]
