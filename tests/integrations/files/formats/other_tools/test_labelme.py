"""LabelMe's files, next to their images or elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

RECTANGLE = {"label": "dog", "points": [[30, 60], [10, 20]], "shape_type": "rectangle"}


def labelme(folder: Path, name: str, image: str, *shapes: Any, **keys: Any) -> Path:
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": 80,
        "imageWidth": 120,
        **keys,
    }
    return write(folder, name, json.dumps(content))


def test_all_shapes_with_a_box(tmp_path: Path) -> None:
    shapes = (
        {**RECTANGLE, "group_id": 3, "flags": {"far": True}},
        {"label": "an owl", "points": [[5, 6], [25, 6], [5, 16]], "shape_type": "polygon"},
        {"label": "dog", "points": [[60, 40], [66, 48]], "shape_type": "circle"},
        {"label": "dog", "points": [[1, 2], [8, 9]], "shape_type": "mask", "mask": "iVBOR"},
        {
            "label": "dog",
            "points": [[50, 10], [60, 20], [50, 30], [40, 20]],
            "shape_type": "rotation",
        },
    )
    labelme(tmp_path, "a b.json", "a b.jpg", *shapes)
    write_image(tmp_path / "a b.jpg")
    write_image(tmp_path / "bare.jpg")
    assert detect_format(tmp_path) == "labelme"
    dataset, images = read_dataset(tmp_path)
    assert images == tmp_path
    assert objects(dataset) == {
        "a b.jpg": [
            ("dog", (10, 20, 30, 60)),
            ("an owl", (5, 6, 25, 16)),
            ("dog", pytest.approx((50, 30, 70, 50))),
            ("dog", (1, 2, 8, 9)),
            ("dog", (40, 10, 60, 30)),
        ],
        "bare.jpg": [],
    }
    assert dataset.boxes[0].extra == {"group_id": 3, "flags": {"far": True}}
    only = read_dataset(tmp_path / "a b.json").dataset
    assert list(objects(only)) == ["a b.jpg"]


@pytest.mark.parametrize("named", ["../images/a.jpg", "..\\images\\a.jpg", "/home/me/data/a.jpg"])
def test_labels_in_a_folder_of_their_own(named: str, tmp_path: Path) -> None:
    labelme(tmp_path, "labels/a.json", named, RECTANGLE)
    write_image(tmp_path / "images/a.jpg")
    for path in (tmp_path, tmp_path / "labels"):
        dataset, images = read_dataset(path)
        assert images is not None
        assert [len(own) for own in objects(dataset).values()] == [1]
        assert (images / dataset.images[0].file_name).is_file()


def test_several_folders_of_images(tmp_path: Path) -> None:
    for folder, boxes in (("train", 1), ("val", 2), ("train/night", 3)):
        labelme(tmp_path, f"{folder}/a.json", "a.jpg", *[RECTANGLE] * boxes)
        write_image(tmp_path / folder / "a.jpg")
    counts = {name: len(own) for name, own in objects(read_dataset(tmp_path).dataset).items()}
    assert counts == {"train/a.jpg": 1, "train/night/a.jpg": 3, "val/a.jpg": 2}
    assert load_format("labelme").splits(tmp_path) == ["train", "val"]
    assert len(read_dataset(tmp_path, split="train").dataset.boxes) == 4


@pytest.mark.parametrize("broken", ["", '{"shapes": 7}'])
def test_an_image_whose_labels_are_broken_is_not_one_without_boxes(
    broken: str, tmp_path: Path
) -> None:
    for name in ("a/1", "a/2", "b/1", "b/2"):
        write_image(tmp_path / f"{name}.jpg")
        labelme(tmp_path, f"{name}.json", f"{name[2:]}.jpg", RECTANGLE)
    write(tmp_path, "a/1.json", broken)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert sorted(objects(dataset)) == ["a/2.jpg", "b/1.jpg", "b/2.jpg"]
    assert [fault.kind.name for fault in faults.found] == ["labels-broken"]


def test_a_renamed_image_is_found_by_the_name_of_its_file(tmp_path: Path) -> None:
    labelme(tmp_path, "new.json", "old.jpg", RECTANGLE)
    write_image(tmp_path / "new.png")
    assert list(objects(read_dataset(tmp_path).dataset)) == ["new.png"]


def test_what_is_wrong_is_left_out_and_listed(tmp_path: Path) -> None:
    labelme(
        tmp_path,
        "a.json",
        "a.jpg",
        RECTANGLE,
        {"label": "dog", "points": [[1, 2]], "shape_type": "point"},
        {"label": "dog", "points": [[1, 2], [3, 4]], "shape_type": "line"},
        {"label": "dog", "points": "none", "shape_type": "rectangle"},
        {"points": [[1, 2], [3, 4]], "shape_type": "rectangle"},
        7,
    )
    labelme(tmp_path, "gone.json", "gone.jpg", RECTANGLE)
    write(tmp_path, "cut.json", '{"version": "5.4.1", "shapes": [')
    for name in ("a.jpg", "cut.jpg"):
        write_image(tmp_path / name)
    faults = Faults(tmp_path)
    dataset = read_dataset(tmp_path, faults=faults).dataset
    assert objects(dataset)["a.jpg"] == [("dog", (10, 20, 30, 60))]
    # Nobody knows what is on the image of a broken file: it is not without objects.
    assert list(objects(dataset)) == ["a.jpg"]
    kinds = sorted(fault.kind.name for fault in faults.found)
    assert kinds == ["box-broken"] * 3 + ["image-missing", "labels-broken", "no-box", "no-box"]
    with pytest.raises(AnnotationError, match=r"a\.json: shape 2: is a point, which has no box"):
        read_dataset(tmp_path / "a.json")
