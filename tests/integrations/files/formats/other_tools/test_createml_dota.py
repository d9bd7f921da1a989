"""CreateML's JSON and DOTA's text files."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

BOX = {"label": "dog", "coordinates": {"x": 20, "y": 40, "width": 20, "height": 40}}
CORNERS = (10, 20, 30, 60)
LINE = "50 10 60 20 50 30 40 20 large-vehicle 1"


def createml(path: Path, *images: tuple[str, int]) -> None:
    """Write a file with so many boxes on each image, and the images next to it."""
    entries = [{"image": name, "annotations": [BOX] * count} for name, count in images]
    write(path.parent, path.name, json.dumps(entries))
    for name, _ in images:
        write_image(path.parent / name)


def test_createml_in_one_file(tmp_path: Path) -> None:
    createml(tmp_path / "labels.json", ("a b.jpg", 1), ("empty.jpg", 0))
    assert detect_format(tmp_path) == detect_format(tmp_path / "labels.json") == "createml"
    assert objects(read_dataset(tmp_path).dataset) == {
        "a b.jpg": [("dog", CORNERS)],
        "empty.jpg": [],
    }


def test_createml_as_roboflow_exports_it(tmp_path: Path) -> None:
    createml(tmp_path / "train/_annotations.createml.json", ("a.jpg", 2), ("b.jpg", 0))
    createml(tmp_path / "valid/_annotations.createml.json", ("a.jpg", 1))
    assert detect_format(tmp_path) == "createml"
    assert load_format("createml").splits(tmp_path) == ["train", "val"]
    counts = {name: len(own) for name, own in objects(read_dataset(tmp_path).dataset).items()}
    assert counts == {"train/a.jpg": 2, "train/b.jpg": 0, "valid/a.jpg": 1}
    assert list(objects(read_dataset(tmp_path, split="valid").dataset)) == ["valid/a.jpg"]


def test_createml_with_faults(tmp_path: Path) -> None:
    createml(tmp_path / "labels.json", ("a.jpg", 1), ("b.jpg", 1))
    content = json.loads((tmp_path / "labels.json").read_text())
    content[0]["annotations"] += [{"label": "dog"}, {**BOX, "label": None}]
    content += [{"image": "gone.jpg", "annotations": []}, {"annotations": []}, 3]
    write(tmp_path, "labels.json", json.dumps(content))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert objects(dataset) == {"a.jpg": [("dog", CORNERS)], "b.jpg": [("dog", CORNERS)]}
    kinds = [fault.kind.name for fault in faults.found]
    assert sorted(kinds) == ["box-broken"] * 2 + ["image-broken"] * 2 + ["image-missing"]
    with pytest.raises(AnnotationError, match=r"labels\.json: image 4: its image is None"):
        read_dataset(tmp_path)


def dota(folder: Path, labels: str, images: str, *names: str) -> None:
    """Write files of one box and a header, and their images."""
    for name in names:
        write(folder, f"{labels}/{name}.txt", f"imagesource:GoogleEarth\ngsd:0.15\n{LINE}\n")
        write_image(folder / images / f"{name}.png")


def test_dota_boxes_are_hulls(tmp_path: Path) -> None:
    dota(tmp_path, "labelTxt", "images", "P 01")
    write(tmp_path, "labelTxt/P2.txt", "1.5 2 9 2 9 12 1.5 12 small ship\n")
    write(tmp_path, "labelTxt/P3.txt", "")
    for name in ("P2", "P3", "P4"):
        write_image(tmp_path / f"images/{name}.png")
    assert detect_format(tmp_path) == "dota"
    dataset, images = read_dataset(tmp_path)
    assert images == tmp_path / "images"
    assert objects(dataset) == {
        "P 01.png": [("large-vehicle", (40, 10, 60, 30))],
        "P2.png": [("small ship", (1.5, 2, 9, 12))],
        "P3.png": [],
        "P4.png": [],
    }
    assert dataset.boxes[0].extra["difficult"] == 1
    assert dataset.boxes[0].area == pytest.approx(200)


@pytest.mark.parametrize("labels", ["labelTxt", "labelTxt-v1.5/labelTxt", "annfiles"])
def test_dota_splits(labels: str, tmp_path: Path) -> None:
    """A patch of the same name may be in two splits."""
    dota(tmp_path / "train", labels, "images", "P1", "P2")
    dota(tmp_path / "val", labels, "images", "P1")
    assert detect_format(tmp_path) == "dota"
    assert load_format("dota").splits(tmp_path) == ["train", "val"]
    counts = {name: len(own) for name, own in objects(read_dataset(tmp_path).dataset).items()}
    assert counts == {"train/images/P1.png": 1, "train/images/P2.png": 1, "val/images/P1.png": 1}
    assert len(read_dataset(tmp_path, split="train").dataset.images) == 2


@pytest.mark.parametrize("broken", [b"\xff\xff", b"1 2 3\n4 5 6\n7 8 9\n"])
def test_dota_labels_of_equal_names_do_not_hide_a_broken_file(
    broken: bytes, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        dota(tmp_path / split, "labelTxt", "images", "P1", "P2")
    (tmp_path / "train/labelTxt/P1.txt").write_bytes(broken)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    kept = objects(dataset).get("train/images/P1.png")
    kinds = {fault.kind.name for fault in faults.found}
    assert (kept, kinds) in [(None, {"labels-broken"}), ([], {"box-broken"})]


def test_dota_of_two_versions_is_read_once(tmp_path: Path) -> None:
    for version in ("labelTxt-v1.0", "labelTxt-v1.5"):
        dota(tmp_path, version, "images", "P1")
    assert len(read_dataset(tmp_path).dataset.boxes) == 1


def test_dota_from_roboflow_and_yolo_are_kept_apart(tmp_path: Path) -> None:
    """Both have a data.yaml; YOLO's turned boxes begin with the class."""
    dota(tmp_path / "dota/train", "labelTxt", "images", "a")
    write(tmp_path / "dota", "data.yaml", "train: train/images\nnames: [large-vehicle]\n")
    assert detect_format(tmp_path / "dota") == "dota"
    write(tmp_path / "yolo", "data.yaml", "names: [ship]\n")
    write(tmp_path / "yolo", "labels/a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
    write_image(tmp_path / "yolo/images/a.png")
    assert detect_format(tmp_path / "yolo") == "yolo"


def test_dota_with_faults(tmp_path: Path) -> None:
    dota(tmp_path, "labelTxt", "images", "a", "b")
    write(tmp_path, "labelTxt/a.txt", f"{LINE}\n1 2 3\n50 x 60 20 50 30 40 20 ship 0\n")
    write(tmp_path, "labelTxt/gone.txt", LINE)
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 2
    kinds = sorted(fault.kind.name for fault in faults.found)
    assert kinds == ["box-broken", "box-broken", "image-missing"]
    with pytest.raises(AnnotationError, match=r"a\.txt: line 2: 3 columns"):
        read_dataset(tmp_path)
