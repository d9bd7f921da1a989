"""Files of the VGG Image Annotator."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}


def region(shape: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def via(folder: Path, name: str, images: dict[str, Any], *, is_project: bool = False) -> Path:
    content: dict[str, Any] = {
        f"{file}123": {"filename": file, "size": 123, "regions": regions, "file_attributes": {}}
        for file, regions in images.items()
    }
    if is_project:
        content = {"_via_settings": {"ui": {}}, "_via_img_metadata": content}
    return write(folder, name, json.dumps(content))


@pytest.mark.parametrize("is_project", [True, False])
def test_all_shapes_with_a_box(is_project: bool, tmp_path: Path) -> None:
    xs, ys = [5, 25, 5], [6, 6, 16]
    shapes: list[dict[str, Any]] = [
        RECT,
        {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
        {"name": "circle", "cx": 60, "cy": 40, "r": 10},
        {"name": "ellipse", "cx": 60, "cy": 40, "rx": 20, "ry": 10, "theta": math.pi / 2},
    ]
    regions = [region(shape, kind="x", Class="dog") for shape in shapes]
    via(tmp_path, "via.json", {"a.jpg": regions, "b.jpg": []}, is_project=is_project)
    for name in "ab":
        write_image(tmp_path / f"images/{name}.jpg")
    for path in (tmp_path, tmp_path / "via.json"):
        assert detect_format(path) == "via"
        dataset, images = read_dataset(path)
        assert images == tmp_path / "images"
        assert objects(dataset) == {
            "a.jpg": [
                ("dog", (10, 20, 40, 60)),
                ("dog", (5, 6, 25, 16)),
                ("dog", (50, 30, 70, 50)),
                ("dog", pytest.approx((50, 20, 70, 60))),
            ],
            "b.jpg": [],
        }
        assert dataset.boxes[1].extra == {"segmentation": [[5, 6, 25, 6, 5, 16]]}


def test_files_of_version_1_and_splits(tmp_path: Path) -> None:
    for split, name in (("train", "a.jpg"), ("val", "b.jpg")):
        regions = {"0": region(RECT), "1": region({**RECT, "x": 50})}
        via(tmp_path, f"{split}/via_region_data.json", {name: regions})
        write_image(tmp_path / split / name)
    assert load_format("via").splits(tmp_path) == ["train", "val"]
    dataset = read_dataset(tmp_path, split="val").dataset
    assert objects(dataset) == {
        "val/b.jpg": [("object", (10, 20, 40, 60)), ("object", (50, 20, 80, 60))]
    }


def test_regions_without_attributes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    via(tmp_path, "via.json", {"a.jpg": [region(RECT)]})
    write_image(tmp_path / "a.jpg")
    with caplog.at_level(logging.WARNING):
        assert objects(read_dataset(tmp_path).dataset)["a.jpg"][0][0] == "object"
    assert "its regions have no attributes" in caplog.text


@pytest.mark.parametrize(
    ("attributes", "label"),
    [({"fruit": "apple"}, "apple"), ({"type": {"apple": True, "pear": False}, "n": 3}, "apple")],
)
def test_where_the_class_is(attributes: dict[str, Any], label: str, tmp_path: Path) -> None:
    via(tmp_path, "via.json", {"a.jpg": [region(RECT, **attributes)]})
    write_image(tmp_path / "a.jpg")
    assert objects(read_dataset(tmp_path).dataset) == {"a.jpg": [(label, (10, 20, 40, 60))]}


def test_what_is_wrong(tmp_path: Path) -> None:
    good = region(RECT, label="dog")
    odd: list[Any] = [
        region({"name": "point", "cx": 1, "cy": 2}, label="dog"),
        region({**RECT, "width": None}, label="dog"),
        region(RECT, label={"dog": True, "cat": True}),
        region({"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1]}, label="dog"),
        None,
    ]
    images: dict[str, Any] = {"a.jpg": [good] * 9, "b.jpg": odd, "c.jpg": None, "d.jpg": [good]}
    via(tmp_path, "via.json", images)
    for name in "abcd":
        write_image(tmp_path / f"{name}.jpg")
    faults = Faults(tmp_path)
    assert len(read_dataset(tmp_path, faults=faults).dataset.boxes) == 10
    kinds = [fault.kind.name for fault in faults.found]
    assert kinds == ["image-broken", "no-box", *["box-broken"] * 4]
    with pytest.raises(AnnotationError, match=r"image 'c\.jpg123': has no list of regions"):
        read_dataset(tmp_path)
    via(tmp_path, "via.json", {"a.jpg": [region(RECT, fruit="apple", ripe="yes")]})
    with pytest.raises(AnnotationError, match=r"which attribute .* is the class \(fruit, ripe\)"):
        read_dataset(tmp_path)
