"""COCO files: lossless round trips, and errors that name the broken entry."""

import json
import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import read_coco, write_coco
from sparsedet.annotations.coco import from_coco, to_coco
from sparsedet.errors import AnnotationError

# Ids in no order, keys that sparsedet does not know, a crowd region, an image without boxes.
FULL: dict[str, Any] = {
    "info": {"year": 2026},
    "licenses": [{"id": 4, "name": "MIT"}],
    "images": [
        {
            "id": 7,
            "file_name": "day/b.jpg",
            "width": 60,
            "height": 40,
            "exhaustive": True,
            "tool_id": "31",
            "coco_url": "somewhere",
        },
        {"id": 2, "file_name": "a.jpg", "width": 50, "height": 30, "license": 4},
        {"id": 5, "file_name": "empty.jpg", "width": 10, "height": 10},
    ],
    "annotations": [
        {
            "id": 90,
            "image_id": 2,
            "category_id": 3,
            "bbox": [1.5, 2.25, 10.0, 5.0],
            "area": 31.5,
            "iscrowd": 0,
            "segmentation": [[1, 2, 3, 4, 5, 6]],
            "origin": "edited",
            "tool_id": "region-1",
        },
        {
            "id": 4,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0.0, 0.0, 60.0, 40.0],
            "area": 2400.0,
            "iscrowd": 1,
            "segmentation": {"counts": [4, 2396], "size": [40, 60]},
        },
        {
            "id": 11,
            "image_id": 7,
            "category_id": 3,
            "bbox": [20.1234, 10.5, 3.0001, 4.0],
            "area": 12.0004,
            "iscrowd": 0,
        },
    ],
    "categories": [
        {"id": 3, "name": "cell", "supercategory": "blood"},
        {"id": 1, "name": "clump"},
    ],
    "background": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 3,
            "bbox": [1.0, 1.0, 4.0, 4.0],
            "region_id": "sd12",
        },
    ],
}


def test_a_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(FULL), encoding="utf-8")
    write_coco(read_coco(source), target)
    assert json.loads(target.read_text(encoding="utf-8")) == FULL


def test_what_is_read() -> None:
    dataset = from_coco(FULL, source="full.json")
    assert [image.id for image in dataset.images] == [7, 2, 5]
    assert [box.id for box in dataset.boxes] == [90, 4, 11]
    assert dataset.boxes[0].xyxy == (1.5, 2.25, 11.5, 7.25)
    assert [box.iscrowd for box in dataset.boxes] == [False, True, False]
    assert [image.exhaustive for image in dataset.images] == [True, False, False]
    assert dataset.verified_negatives[0].xyxy == (1.0, 1.0, 5.0, 5.0)
    assert dataset.counts() == {"cell": 2, "clump": 0}


def test_background_is_never_among_the_annotations() -> None:
    written = to_coco(from_coco(FULL, source="full.json"))
    assert [entry["id"] for entry in written["annotations"]] == [90, 4, 11]
    assert [entry["id"] for entry in written["background"]] == [1]


def test_area_defaults_to_that_of_the_box() -> None:
    content = deepcopy(FULL)
    del content["annotations"][2]["area"]
    written = to_coco(from_coco(content, source="full.json"))
    assert written["annotations"][2]["area"] == pytest.approx(3.0001 * 4.0)


@given(
    st.tuples(st.floats(0, 49), st.floats(0, 29), st.floats(1e-4, 60), st.floats(1e-4, 60)).filter(
        lambda box: box[0] + box[2] <= 50 and box[1] + box[3] <= 30
    )
)
def test_a_written_box_can_be_read_and_stays_where_it_is(
    bbox: tuple[float, float, float, float],
) -> None:
    content = deepcopy(FULL)
    content["annotations"][0]["bbox"] = list(bbox)
    first = from_coco(content, source="first.json")
    second = from_coco(to_coco(first), source="second.json")
    assert second.boxes[0].xyxy == pytest.approx(first.boxes[0].xyxy, abs=2e-4)


def _image(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["images"][1].update({key: value})


def _box(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda c: c.pop("images"), "not a COCO annotation file"),
        (lambda c: c.update(images={}), "images is not a list"),
        (lambda c: c["images"].append("a.jpg"), "images[3] has no integer id"),
        (_image("id", "2"), "images[1] has no integer id"),
        (_image("id", True), "images[1] has no integer id"),
        (_image("id", 7), "images id 7: duplicate id"),
        (_image("file_name", "day/b.jpg"), "also of image id 7"),
        (_image("file_name", ""), "images id 2: file_name ''"),
        (_image("file_name", None), "images id 2: file_name None"),
        (_image("file_name", "a\0.jpg"), "images id 2: file_name"),
        (_image("file_name", "../secret.jpg"), "images id 2: file_name '../secret.jpg' leaves"),
        (_image("file_name", "a/../../b.jpg"), "images id 2: file_name 'a/../../b.jpg' leaves"),
        (_image("file_name", "/etc/a.jpg"), "images id 2: file_name '/etc/a.jpg' leaves"),
        (_image("file_name", "..\\b.jpg"), "images id 2: file_name '../b.jpg' leaves"),
        (_image("file_name", "C:\\b.jpg"), "images id 2: file_name 'C:/b.jpg' leaves"),
        (
            _image("file_name", "\\\\server\\b.jpg"),
            "images id 2: file_name '//server/b.jpg' leaves",
        ),
        (_image("width", 0), "images id 2: width is 0"),
        (_image("width", "50"), "images id 2: width is '50'"),
        (_image("height", 30.5), "images id 2: height is 30.5"),
        (lambda c: c["images"][1].pop("height"), "images id 2: height is None"),
        (_box("id", 4), "annotations id 4: duplicate id"),
        (_box("id", None), "annotations[0] has no integer id"),
        (_box("image_id", 99), "annotations id 90: image_id 99 is not among the images"),
        (_box("category_id", 99), "annotations id 90: category_id 99 is not among the categories"),
        (_box("bbox", None), "annotations id 90: bbox None is not [x, y, width, height]"),
        (_box("bbox", [1, 2, 3]), "annotations id 90: bbox [1, 2, 3] is not"),
        (_box("bbox", [1, 2, "3", 4]), "annotations id 90: bbox [1, 2, '3', 4] is not"),
        (_box("bbox", [1, 2, float("nan"), 4]), "annotations id 90: bbox [1, 2, nan, 4] is not"),
        (_box("bbox", [1, 2, float("inf"), 4]), "annotations id 90: bbox [1, 2, inf, 4] is not"),
        (_box("bbox", [1, 2, 0, 4]), "annotations id 90: bbox [1, 2, 0, 4] has no area"),
        (_box("bbox", [1, 2, 3, -4]), "annotations id 90: bbox [1, 2, 3, -4] has no area"),
        (_box("bbox", [50, 2, 3, 4]), "annotations id 90: bbox [50, 2, 3, 4] lies outside"),
        (_box("bbox", [-9, 2, 3, 4]), "annotations id 90: bbox [-9, 2, 3, 4] lies outside"),
        (_box("area", float("nan")), "annotations id 90: area nan is not"),
        (_box("area", "12"), "annotations id 90: area '12' is not"),
        (lambda c: c["categories"][0].update(name=""), "categories id 3: no name"),
        (lambda c: c["categories"][1].update(name="cell"), "also of category id 3"),
        (lambda c: c["categories"][1].update(id=3), "categories id 3: duplicate id"),
        (lambda c: c["background"][0].update(image_id=0), "background id 1: image_id 0 is not"),
    ],
)
def test_broken_content_names_file_and_id(
    break_it: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    content = deepcopy(FULL)
    break_it(content)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AnnotationError) as error:
        read_coco(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no such file"),
        (b"", "not valid JSON at line 1, column 1"),
        (b'{"images": [\n{"id": 1', "not valid JSON at line 2"),
        (b"\xff\xfe{}", "not UTF-8 text"),
        (b"[]", "not a COCO annotation file"),
    ],
)
def test_unreadable_file_is_named(data: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(AnnotationError) as error:
        read_coco(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_folder_is_no_annotation_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="is a folder"):
        read_coco(tmp_path)


@pytest.mark.parametrize("name", ["2026-01-01T12:00:00.jpg", "ä ö.jpg", "a/b/..c.jpg"])
def test_unusual_file_names_are_fine(name: str) -> None:
    content = deepcopy(FULL)
    content["images"][1]["file_name"] = name
    assert from_coco(content, source="full.json").images[1].file_name == name


def test_clipped_boxes_are_counted_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    content = deepcopy(FULL)
    content["annotations"][0]["bbox"] = [-2.0, 2.0, 10.0, 5.0]
    content["annotations"][2]["bbox"] = [55.0, 35.0, 10.0, 10.0]
    with caplog.at_level(logging.WARNING):
        dataset = from_coco(content, source="full.json")
    assert dataset.boxes[0].xyxy == (0.0, 2.0, 8.0, 7.0)
    assert dataset.boxes[2].xyxy == (55.0, 35.0, 60.0, 40.0)
    assert [record.getMessage() for record in caplog.records] == [
        "full.json: clipped 2 boxes that extended beyond the image (first: annotations id 90)"
    ]
    caplog.clear()
    content["annotations"][2]["bbox"] = [5.0, 3.0, 1.0, 1.0]
    from_coco(content, source="full.json")
    assert "clipped 1 box that extended" in caplog.text


def test_rounding_at_the_edge_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    content = deepcopy(FULL)
    content["annotations"][0]["bbox"] = [40.0001, 20.0, 10.0, 10.0001]
    with caplog.at_level(logging.WARNING):
        dataset = from_coco(content, source="full.json")
    assert dataset.boxes[0].xyxy == (40.0001, 20.0, 50.0, 30.0)
    assert not caplog.records


def test_what_others_write_into_the_content_stays_theirs() -> None:
    dataset = from_coco(deepcopy(FULL), source="full.json")
    before = to_coco(dataset)
    to_coco(dataset)["annotations"][0]["id"] = 4711
    assert to_coco(dataset) == before


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("annotations", {"id": 2**63}, "annotations[0] has no integer id"),
        ("annotations", {"bbox": [0, 0, 10**400, 5]}, "is not [x, y, width, height]"),
        ("annotations", {"area": 10**400}, "is not a number of square pixels"),
        ("images", {"id": -(2**63) - 1}, "images[0] has no integer id"),
        ("images", {"width": 2**64}, "expected a positive integer"),
    ],
)
def test_numbers_that_no_computer_takes(key: str, entry: dict[str, Any], message: str) -> None:
    content = deepcopy(FULL)
    content[key][0] |= entry
    with pytest.raises(AnnotationError) as error:
        from_coco(content, source="full.json")
    assert message in str(error.value)
