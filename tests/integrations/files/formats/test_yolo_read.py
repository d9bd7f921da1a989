"""YOLO folders in their common variants, and errors."""

import shutil
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

DOG = "0 0.5 0.5 0.1 0.2\n"
"""A box at (54, 32, 66, 48) of an image of 120 x 80."""
XYXY = pytest.approx((54, 32, 66, 48))


def dataset_folder(folder: Path, data: str, images: list[str], labels: list[str]) -> Path:
    write(folder, "data.yaml", data)
    for name in images:
        write_image(folder / name)
    for name in labels:
        write(folder, name, DOG)
    return folder


NAMES = "names: {0: dog, 1: cat}\n"


@pytest.mark.parametrize(
    ("data", "images", "labels", "found"),
    [
        (
            f"path: .\ntrain: images/train\nval: images/val\ntest:\n{NAMES}",
            ["images/train/a.jpg", "images/val/b.jpg", "images/extra/c.jpg"],
            ["labels/train/a.txt"],
            {"train/a.jpg": 1, "val/b.jpg": 0},
        ),
        (
            "path: /content/coco8\ntrain: images\nval: images\nnc: 2\nnames: [dog, cat]\n",
            ["images/day/a.jpg", "images/b.png"],
            ["labels/day/a.txt", "labels/b.txt"],
            {"b.png": 1, "day/a.jpg": 1},
        ),
        (
            f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{NAMES}",
            ["train/images/a.jpg", "valid/images/b.jpg"],
            ["train/labels/a.txt"],
            {"train/images/a.jpg": 1, "valid/images/b.jpg": 0},
        ),
        (
            f"train: train.txt\nvalidation: [val.txt]\n{NAMES}",
            ["images/train/a.jpg", "images/val/b.jpg"],
            ["labels/val/b.txt"],
            {"train/a.jpg": 0, "val/b.jpg": 1},
        ),
        (NAMES, ["images/a.jpg"], ["labels/a.txt"], {"a.jpg": 1}),
    ],
    ids=["Ultralytics", "one folder, path of another machine", "Roboflow", "lists", "names only"],
)
def test_layouts(
    data: str, images: list[str], labels: list[str], found: dict[str, int], tmp_path: Path
) -> None:
    dataset_folder(tmp_path, data, images, labels)
    write(tmp_path, "train.txt", "./images/train/a.jpg\n\n")
    write(tmp_path, "val.txt", "images/val/b.jpg\n")
    assert detect_format(tmp_path) == "yolo"
    dataset, folder = read_dataset(tmp_path)
    assert folder is not None
    assert all((folder / image.file_name).is_file() for image in dataset.images)
    assert {name: len(boxes) for name, boxes in objects(dataset).items()} == found
    assert [(c.id, c.name) for c in dataset.categories] == [(1, "dog"), (2, "cat")]
    assert all(object == ("dog", XYXY) for found in objects(dataset).values() for object in found)


def test_an_export_of_label_studio(tmp_path: Path) -> None:
    write(tmp_path, "classes.txt", "dog\ntraffic light\n")
    write(tmp_path, "notes.json", '{"categories": [], "info": {"year": 2024}}')
    write(tmp_path, "labels/a.txt", DOG + "1 0.25 0.25 0.5 0.5")
    write(tmp_path, "labels/b.txt", "\n")
    for name in "abc":
        write_image(tmp_path / f"images/{name}.jpg")
    assert objects(read_dataset(tmp_path).dataset) == {
        "a.jpg": [("dog", XYXY), ("traffic light", pytest.approx((0, 0, 60, 40)))],
        "b.jpg": [],
        "c.jpg": [],
    }


def test_a_yaml_file_and_images_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "sets/birds.yaml", NAMES)
    write(tmp_path, "sets/labels/day/a.txt", DOG)
    write_image(tmp_path / "photos/day/a.jpg")
    dataset, folder = read_dataset(tmp_path / "sets/birds.yaml", images=tmp_path / "photos")
    assert folder == tmp_path / "photos"
    assert objects(dataset) == {"day/a.jpg": [("dog", XYXY)]}
    with pytest.raises(AnnotationError, match="nowhere: no such image folder"):
        read_dataset(tmp_path / "sets/birds.yaml", images=tmp_path / "nowhere")


def test_outlines_are_boxes_with_a_segmentation(tmp_path: Path) -> None:
    lines = "1 0.1 0.1 0.5 0.1 0.5 0.6\n0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n" + DOG
    dataset_folder(tmp_path, NAMES, ["images/a.jpg"], [])
    write(tmp_path, "labels/a.txt", lines)
    triangle, rectangle, box = read_dataset(tmp_path).dataset.boxes
    assert triangle.xyxy == pytest.approx((12, 8, 60, 48))
    assert triangle.extra == {"segmentation": [[12.0, 8.0, 60.0, 8.0, 60.0, 48.0]]}
    assert triangle.area == pytest.approx(48 * 40 / 2)
    assert rectangle.xyxy == pytest.approx((12, 8, 24, 24))
    assert (rectangle.extra, rectangle.area) == ({}, None)
    assert box.xyxy == XYXY


def test_splits_keep_the_ids_of_the_whole(tmp_path: Path) -> None:
    data = f"train: images/train\nval: images/val\n{NAMES}"
    images = ["images/train/a.jpg", "images/val/b.jpg"]
    dataset_folder(tmp_path, data, images, ["labels/train/a.txt", "labels/val/b.txt"])
    dataset, folder = read_dataset(tmp_path, split="val")
    assert folder == tmp_path / "images"
    assert [(i.id, i.file_name) for i in dataset.images] == [(2, "val/b.jpg")]
    with pytest.raises(AnnotationError, match=r"no split 'test' \(found: train, val\)"):
        read_dataset(tmp_path, split="test")


def test_a_missing_split_gives_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = f"train: images/train\nval: images/val\n{NAMES}"
    dataset_folder(tmp_path, data, ["images/train/a.jpg"], ["labels/train/a.txt"])
    assert len(read_dataset(tmp_path).dataset.images) == 1
    assert "val is images/val, which is not in" in caplog.text
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(AnnotationError, match="no images in"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("place", ["../photos", "{root}/photos", "images/../../photos", "list.txt"])
def test_nothing_leads_out_of_the_folder(place: str, tmp_path: Path) -> None:
    write_image(tmp_path / "photos/secret.jpg")
    here = dataset_folder(tmp_path / "set", NAMES, ["images/a.jpg"], ["labels/a.txt"])
    write(here, "data.yaml", f"train: {place.format(root=tmp_path)}\n{NAMES}")
    write(here, "list.txt", "../photos/secret.jpg\n")
    try:
        names = [image.file_name for image in read_dataset(here).dataset.images]
    except AnnotationError as error:
        assert "secret.jpg' in" in str(error)  # noqa: PT017 - either is fine, reading it is not
    else:
        assert names == ["a.jpg"]


def test_rounding_errors_are_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset_folder(tmp_path, NAMES, ["images/a.jpg"], [])
    write(tmp_path, "labels/a.txt", "0 0.5 0.5 1.00001 1\n1.0 0.95 0.5 0.1001 0.2\n")
    one, other = read_dataset(tmp_path).dataset.boxes
    assert one.xyxy == (0.0, 0.0, 120.0, 80.0)
    assert (other.category_id, other.xyxy[2]) == (2, 120)
    assert not caplog.records
    write(tmp_path, "labels/a.txt", "0 0.95 0.5 0.2 0.2\n")
    assert read_dataset(tmp_path).dataset.boxes[0].xyxy == pytest.approx((102, 32, 120, 48))
    assert "clipped 1 box that" in caplog.text


@pytest.mark.parametrize(
    ("line", "box", "noted"),
    [
        ("0 0.5 0.5 1.0002 1", (0, 0, 120, 80), False),
        ("0 -0.0003 0.5 0.1 0.2", (0, 32, 5.964, 48), True),
        ("0 0.5 0.5 1.009 0.2", (0, 32, 120, 48), True),
        ("0 0.1 0.1 1.0001 0.1 1.0001 0.5", (12, 8, 120, 40), False),
        ("0 -0.0003 0.1 1.009 0.1 1.009 0.5", (0, 8, 120, 40), True),
        ("0 -0.009 0.1 1.009 0.1 1.009 0.5 -0.009 0.5", (0, 8, 120, 40), True),
    ],
)
def test_what_reaches_over_the_edge_is_clipped(
    line: str, box: tuple[float, ...], noted: bool, tmp_path: Path
) -> None:
    dataset_folder(tmp_path, NAMES, ["images/a.jpg"], [])
    write(tmp_path, "labels/a.txt", line)
    faults = Faults(tmp_path)
    (read,) = read_dataset(tmp_path, faults=faults).dataset.boxes
    assert read.xyxy == pytest.approx(box)
    assert [fault.kind.name for fault in faults.found] == ["box-over-edge"] * noted
    for polygon in read.extra.get("segmentation", []):
        assert (min(polygon[::2]), max(polygon[::2])) == (box[0], box[2])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (DOG + "\n2 0.5 0.5 0.1 0.1", r"a\.txt:3: class 2 is not one of the 2 classes"),
        ("-1 0.5 0.5 0.1 0.1", "class -1 is not one of"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not one of"),
        ("dog 0.5 0.5 0.1 0.1", r"a\.txt:1: 'dog' is not a number"),
        ("0 0.5 nan 0.1 0.1", r"a\.txt:1: 'nan' is not a number"),
        ("0 0.5 0.5 0.1", r"a\.txt:1: 4 columns; a box has 5"),
        ("0", r"a\.txt:1: 1 column; a box has 5"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"a\.txt:1: 6 columns"),
        ("0 0.5 0.5 0.1 0.1 0.9 0.9 1", r"a\.txt:1: 8 columns"),
        ("0 54 32 12 16", r"a\.txt:1: coordinate 54 is not between 0 and 1; are these pixels"),
        ("0 0.5 -0.0101 0.1 0.1", "coordinate -0.0101 is not between"),
        ("0 0.1 0.1 1.02 0.1 0.2 0.3", "coordinate 1.02 is not between"),
        ("0 0.5 0.5 0 0.1", "the box has no area"),
    ],
)
def test_lines_that_are_refused(lines: str, message: str, tmp_path: Path) -> None:
    dataset_folder(tmp_path, NAMES, ["images/a.jpg"], [])
    write(tmp_path, "labels/a.txt", lines)
    with pytest.raises(AnnotationError, match=message):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("names: [", r"data\.yaml: not valid YAML"),
        ("a: " + "[" * 5000 + "]" * 5000, r"data\.yaml: not valid YAML .*nested too deep"),
        ("train: images\n", "has no `names`"),
        ("names: dog\n", "expected a list"),
        ("names: [no, yes]\n", "which is not text; quote it"),
        ("names: [1.10]\n", "which is not text"),
        ("names: {dog: 0}\n", "class index 'dog'"),
        ("nc: 3\nnames: [dog, cat]\n", "nc is 3, but names has 2"),
        ("names: [dog, dog]\n", "classes 0 and 1 are both 'dog'"),
        ("kpt_shape: [17, 3]\nnames: [dog]\n", "describes keypoints"),
        ("train: [1]\nnames: [dog]\n", "train is 1, expected a path"),
        ("train: list.txt\nnames: [dog]\n", r"list\.txt:1: no image 'gone\.jpg'"),
    ],
)
def test_yaml_files_that_are_refused(data: str, message: str, tmp_path: Path) -> None:
    dataset_folder(tmp_path, data, ["images/a.jpg"], [])
    write(tmp_path, "list.txt", "gone.jpg\n")
    with pytest.raises(AnnotationError, match=message):
        read_dataset(tmp_path)


def test_an_image_that_only_a_list_has_is_left_out(tmp_path: Path) -> None:
    data = "train: train.txt\nval: val.txt\nnames: [dog]\n"
    images, labels = (
        [f"images/{name}.jpg" for name in "ab"],
        [f"labels/{name}.txt" for name in "ab"],
    )
    dataset_folder(tmp_path, data, images, labels)
    write(tmp_path, "train.txt", "images/a.jpg\nimages/gone.jpg\n")
    write(tmp_path, "val.txt", "images/b.jpg\n")
    faults = Faults(tmp_path)
    assert load_format("yolo").splits(tmp_path) == ["train", "val"]
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg", "b.jpg"]
    assert faults.lines() == ["missing images: 1 (train.txt:2), left out"]


def test_a_file_that_is_no_text_is_left_out_with_its_image(tmp_path: Path) -> None:
    names = "abcdef"
    images, labels = [f"images/{name}.jpg" for name in names], [f"labels/{n}.txt" for n in names]
    dataset_folder(tmp_path, "train: images\nnames: [dog]\n", images, labels)
    (tmp_path / "labels/a.txt").write_bytes(DOG.encode("utf-16"))
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == [f"{name}.jpg" for name in "bcdef"]
    assert faults.lines() == ["unreadable label files: 1 (a.txt), left out"]
