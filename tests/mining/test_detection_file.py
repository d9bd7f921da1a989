"""Detections of other models: read, mapped, and refused if invalid."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.second_opinions import second_opinion, together
from sparsedet.completeness.selection import Selection
from sparsedet.errors import AnnotationError
from sparsedet.mining.detection_file import class_names, read_detections

DATA = Dataset(
    tuple(Image(id, f"{id}.jpg", 200, 100) for id in (1, 2)),
    (Box(1, 1, 5, (10, 10, 30, 30)),),
    (Category(5, "orange"), Category(6, "apple")),
)


def entry(**keys: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 5, "bbox": [50, 10, 20, 30], "score": 0.6, **keys}


def write(folder: Path, content: object) -> Path:
    path = folder / "found.json"
    path.write_text(json.dumps(content))
    return path


def test_results_by_the_ids_of_the_data(tmp_path: Path) -> None:
    entries = [entry(), entry(score=0.9, category_id=6), entry(image_id=7)]
    first, second = read_detections(write(tmp_path, entries), DATA)
    assert first.scores.tolist() == [0.9, 0.6]
    assert first.category_ids.tolist() == [6, 5]
    assert first.boxes[1].tolist() == [50, 10, 70, 40]
    assert (first.image_id, second.image_id, len(second.scores)) == (1, 2, 0)


def test_names_and_file_names_serve_as_well(tmp_path: Path) -> None:
    one = {"file_name": "2.jpg", "label": "apple", "bbox": [0, 0, 9, 9], "score": 1}
    _, second = read_detections(write(tmp_path, [one]), DATA)
    assert second.category_ids.tolist() == [6]
    one["file_name"] = "somewhere/2.jpg"
    assert len(read_detections(write(tmp_path, [one]), DATA)[1].scores) == 1


def test_ids_may_be_written_with_a_decimal_point(tmp_path: Path) -> None:
    """As by programs that compute with tables."""
    first, _ = read_detections(
        write(tmp_path, [entry(), entry(image_id=1.0, category_id=6.0)]), DATA
    )
    assert first.category_ids.tolist() == [5, 6]


def test_file_names_of_windows_are_understood(tmp_path: Path) -> None:
    one = entry(file_name="somewhere\\2.jpg")
    assert len(read_detections(write(tmp_path, [one]), DATA)[1].scores) == 1
    content = {"images": [{"id": 1, "file_name": "x\\2.jpg"}], "annotations": [entry()]}
    assert len(read_detections(write(tmp_path, content), DATA)[1].scores) == 1


def test_boxes_are_clipped_to_their_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Models reach over the edge; annotation tools don't take such boxes."""
    entries = [entry(bbox=[-5, 10, 40, 300]), entry(bbox=[300, 10, 20, 20])]
    first, _ = read_detections(write(tmp_path, entries), DATA)
    assert first.boxes.tolist() == [[0, 10, 35, 100]]
    assert "left out 1 box outside of the image" in caplog.text
    assert "entry 1" in caplog.text


def test_boxes_without_an_area_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Models whose boxes are rounded to pixels find some."""
    flat = ([1, 2, 0, 3], [1, 2, 3, -4], [1, 2, float("nan"), 3], [1, 2, 3, float("inf")])
    entries = [entry(image_id=7, bbox=flat[0]), entry(), *(entry(bbox=bbox) for bbox in flat)]
    first, _ = read_detections(write(tmp_path, entries), DATA)
    assert first.boxes.tolist() == [[50, 10, 70, 40]]
    (record,) = caplog.records
    assert record.getMessage().endswith(
        "left out 4 boxes without an area; is bbox [x, y, width, height]? (first: entry 2)"
    )
    # Nothing else is wrong with such a file.
    assert not any(
        found.scores.size for found in read_detections(write(tmp_path, entries[2:]), DATA)
    )


NAMED = Dataset(
    tuple(
        Image(id, name, 200, 100)
        for id, name in enumerate(("a/x.y.jpg", "a/dog.jpg", "b/dog.png", "b/0012.jpg", "9.jpg"), 6)
    ),
    (),
    DATA.categories,
)


@pytest.mark.parametrize(
    ("image_id", "found"),
    [
        *(("x.y", 6), ("x.y.jpg", 6), ("a/x.y", 6), ("a\\x.y.jpg", 6), ("elsewhere/x.y.jpg", 6)),
        # Two images are called dog.
        *(("dog", None), ("dog.jpg", 7), ("a/dog", 7), ("b/dog", 8), ("dog.gif", None)),
        *(("0012", 9), ("12", None), ("7", 7), ("10", 10), ("9" * 5000, None)),
    ],
)
def test_image_ids_may_be_names(tmp_path: Path, image_id: str, found: int | None) -> None:
    """Ultralytics writes file names without their suffix."""
    entries = [entry(image_id=image_id, category_id="apple"), entry(image_id=8, category_id="5")]
    read = read_detections(write(tmp_path, entries), NAMED)
    classes = {one.image_id: one.category_ids.tolist() for one in read if one.scores.size}
    assert classes == {8: [5]} | ({} if found is None else {found: [6, 5] if found == 8 else [6]})


def test_ids_of_64_bits_may_be_texts(tmp_path: Path) -> None:
    """JavaScript would round them as numbers."""
    image, category = Image(2**63 - 1, "a.jpg", 200, 100), Category(2**63 - 1, "orange")
    path = write(tmp_path, [entry(image_id=str(image.id), category_id=str(category.id))])
    (found,) = read_detections(path, Dataset((image,), (), (category,)))
    assert found.category_ids.tolist() == [category.id]


def test_an_image_id_that_is_a_name_and_another_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"entry 0: image_id '9' is the file name of one"):
        read_detections(write(tmp_path, [entry(image_id="9")]), NAMED)


def test_image_ids_may_be_the_numbers_in_file_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ultralytics writes names that are numbers as numbers."""
    read = read_detections(write(tmp_path, [entry(image_id=12)]), NAMED)
    assert [one.image_id for one in read if one.scores.size] == [9]
    assert "read as the numbers in file names" in caplog.text
    caplog.clear()
    # One of them is an id of the data: all of them may be.
    read = read_detections(write(tmp_path, [entry(image_id=12), entry(image_id=9)]), NAMED)
    assert [one.image_id for one in read if one.scores.size] == [9]
    assert not caplog.text


def test_listed_images_may_have_texts_as_ids(tmp_path: Path) -> None:
    content = {
        "images": [{"id": "one", "file_name": "2.jpg"}, {"id": "2", "file_name": "1.jpg"}],
        "annotations": [entry(image_id="one"), entry(image_id="2", category_id=6)],
    }
    read = read_detections(write(tmp_path, content), DATA)
    assert [one.category_ids.tolist() for one in read] == [[6], [5]]


def test_a_coco_file_has_images_and_classes_of_its_own(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 70, "file_name": "2.jpg"}, {"id": 1, "file_name": "other.jpg"}],
        "categories": [{"id": 1, "name": "Apfel"}, {"id": 2, "name": "Stuhl"}],
        "annotations": [
            entry(image_id=70, category_id=1),
            entry(image_id=70, category_id=2),
            entry(image_id=1, category_id=1),
        ],
    }
    path = write(tmp_path, content)
    with pytest.raises(AnnotationError, match=r"does not have: Apfel, Stuhl; .* --map THEIRS=OURS"):
        read_detections(path, DATA)
    for table in ({"Apfel": "apple", "Stuhl": ""}, {"1": "apple", "2": ""}):
        first, second = read_detections(path, DATA, table)
        assert (len(first.scores), second.category_ids.tolist()) == (0, [6])
    with pytest.raises(AnnotationError, match=r"no class 'pear' \(it has orange, apple\)"):
        read_detections(path, DATA, {"Apfel": "pear"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "neither a COCO results list nor"),
        ("text", "neither a COCO results list nor"),
        ([1], "entry 0: not an object"),
        ([entry(bbox=[1, 2, 3])], "entry 0: expected bbox"),
        ([entry(bbox=None)], "entry 0: expected bbox"),
        ([entry(image_id="9")], "1 entry, but none on an image"),
        ([entry(image_id="")], "1 entry, but none on an image"),
        ([entry(category_id="pear")], "classes that the data does not have: pear"),
        ([entry(), entry(score=1.5)], r"entry 1: score 1\.5: expected 0 to 1"),
        ([entry(score="high")], "entry 0: expected bbox"),
        ([entry(category_id=None)], "entry 0: no class"),
        ([entry(category_id=[5])], "entry 0: no class"),
        ([entry(category_id=9)], "classes that the data does not have: 9"),
        ([entry(image_id=9)], "1 entry, but none on an image"),
        ([entry(image_id=[1])], "1 entry, but none on an image"),
    ],
)
def test_what_is_none_is_one_line(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        read_detections(write(tmp_path, content), DATA)


def test_a_file_is_calibrated_by_every_annotation(tmp_path: Path) -> None:
    on_annotation = entry(bbox=[10, 10, 20, 20], score=0.8)
    path = write(tmp_path, [on_annotation, entry(score=0.8), entry(score=0.01)])
    found = second_opinion(path, DATA, Selection(ReviewCosts(), 0.0))
    assert found.fitted.hidden == 1
    assert [box.xyxy for box in found.mined] == [(50, 10, 70, 40)]
    assert 0 < (found.mined[0].expected_precision or 0) <= 1
    assert (
        found.mined[0].region_id
        == second_opinion(path, DATA, Selection(ReviewCosts(), 0.0)).mined[0].region_id
    )


def mined(id: str, left: float, precision: float, category_id: int = 5) -> MinedBox:
    return MinedBox(id, 1, category_id, (left, 0, left + 20, 20), 0.5, 0.0, precision)


def test_models_that_agree_show_one_box() -> None:
    ours = [mined("a", 0, 0.7), mined("b", 4, 0.6), mined("c", 100, 0.2)]
    theirs = [mined("x", 1, 0.9), mined("y", 101, 0.1), mined("z", 101, 0.5, category_id=6)]
    # "b" overlaps "a" too, but our model distinguishes them; "x" is surer than both.
    assert {box.region_id for box in together([ours, theirs])} == {"x", "c", "z"}
    assert {box.region_id for box in together([ours])} == {"a", "b", "c"}


def test_listed_classes_by_name_and_id(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": [1], "name": "x"}, 5]
    path.write_text(json.dumps({"annotations": [], "categories": categories}))
    assert class_names(path) == ["cat", "dog"]
    assert class_names(path, {"17": "tiger", "dog": ""}) == ["tiger"]
    path.write_text(json.dumps({"annotations": [], "categories": 5}))
    assert class_names(path) == []
