"""Released sparse splits: used unchanged, and refused if the full file lacks a box."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.errors import AnnotationError
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.sparsify.released import SAME_PLACE, Released, read_released, write_released
from tests.sparsify.datasets import grid, scenes

FULL = replace(
    grid(6, 8),
    images=tuple(Image(i, f"VOC2007/{i:06}.jpg", 60, 40) for i in range(6)),
    boxes=tuple(
        Box(image * 1000 + j, image, 1 + j % 3, (6.0 * j, 4.0, 6.0 * j + 5, 30.0 + j))
        for image in range(6)
        for j in range(8)
    ),
)


def _sparse() -> Dataset:
    return remove_boxes(FULL, load_recipe("random"), seed=1)[0]


def _released(path: Path, sparse: Dataset, full: Dataset = FULL) -> Released:
    write_coco(sparse, path)
    return read_released(path, full)


def test_boxes_are_found_by_their_ids(tmp_path: Path) -> None:
    released = _released(tmp_path / "split9.json", _sparse())
    assert (released.by_id, released.by_place, released.offset) == (24, 0, 0)
    kept = {box.id for box in released.sparse.boxes}
    assert [box.id for box in released.removed.boxes] == [
        box.id for box in FULL.boxes if box.id not in kept
    ]
    assert released.removed.images == FULL.images


def test_boxes_are_found_by_their_places_where_everything_has_other_ids(tmp_path: Path) -> None:
    """Another converter: other ids, classes in another order, a pixel less, other folders."""
    sparse = _sparse()
    changed = Dataset(
        tuple(
            replace(image, id=image.id + 50, file_name=f"JPEGImages/{image.file_name[8:]}")
            for image in reversed(sparse.images)
        ),
        tuple(
            replace(
                box,
                id=number,
                image_id=box.image_id + 50,
                category_id=4 - box.category_id,
                xyxy=(box.xyxy[0], box.xyxy[1] - 1, box.xyxy[2] + 0.5, box.xyxy[3]),
            )
            for number, box in enumerate(reversed(sparse.boxes), start=1)
        ),
        tuple(Category(4 - category.id, category.name) for category in sparse.categories),
    )
    released = _released(tmp_path / "split9.json", changed)
    assert (released.by_id, released.by_place, released.offset) == (0, 24, 1)
    kept = {box.id for box in sparse.boxes}
    assert {box.id for box in released.removed.boxes} == {box.id for box in FULL.boxes} - kept


@given(scenes(), st.integers(0, 99), st.booleans())
def test_what_a_recipe_kept_is_found(
    tmp_path_factory: pytest.TempPathFactory, full: Dataset, seed: int, renumbered: bool
) -> None:
    sparse, removed = remove_boxes(full, load_recipe("random"), seed)
    if renumbered:
        sparse = sparse.with_boxes(replace(box, id=box.id + 1000) for box in sparse.boxes)
    released = _released(tmp_path_factory.mktemp("split") / "split.json", sparse, full)
    assert released.by_place == (len(sparse.boxes) if renumbered else 0)
    # Ids may be exchanged among boxes of one class that lie on top of each other.
    places = [
        sorted((box.image_id, box.category_id, box.xyxy) for box in part.boxes)
        for part in (released.removed, removed)
    ]
    if released.offset == 0 and not renumbered:
        assert places[0] == places[1]
    assert len(released.removed.boxes) == len(removed.boxes)


def test_two_boxes_are_never_the_same_full_one(tmp_path: Path) -> None:
    sparse = _sparse()
    twice = sparse.with_boxes([*sparse.boxes, replace(sparse.boxes[0], id=77)])
    with pytest.raises(AnnotationError, match=r"1 of 25 boxes are not in the full file.*id 77"):
        _released(tmp_path / "split9.json", twice)
    renumbered = twice.with_boxes(replace(box, id=-box.id - 1) for box in twice.boxes)
    with pytest.raises(AnnotationError, match="1 of 25 boxes are not in the full file"):
        _released(tmp_path / "split9.json", renumbered)


def test_the_closest_full_box_is_taken(tmp_path: Path) -> None:
    image = Image(1, "1.jpg", 50, 50)
    near, far = Box(1, 1, 1, (10, 10, 30, 30)), Box(2, 1, 1, (10, 10, 30.8, 30))
    full = Dataset((image,), (far, near), FULL.categories)
    sparse = full.with_boxes([replace(near, id=9)])
    assert list(_released(tmp_path / "s.json", sparse, full).removed.boxes) == [far]


@pytest.mark.parametrize(("off", "is_found"), [(1.0, True), (SAME_PLACE + 0.01, False)])
def test_a_place_may_be_a_pixel_off(tmp_path: Path, off: float, is_found: bool) -> None:
    sparse = _sparse()
    first = sparse.boxes[0]
    left, top, right, bottom = first.xyxy
    moved = sparse.with_boxes(
        [replace(first, xyxy=(left, top + off, right, bottom)), *sparse.boxes[1:]]
    )
    if is_found:
        assert _released(tmp_path / "s.json", moved).offset == pytest.approx(off)
    else:
        with pytest.raises(AnnotationError, match="1 of 24 boxes"):
            _released(tmp_path / "s.json", moved)


def _change(key: str, value: object, where: str = "annotations") -> Callable[[Any], None]:
    return lambda content: content[where][0].update({key: value})


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_change("bbox", [30, 3, 9, 9]), "1 of 24 boxes are not in the full file (first: "),
        (_change("category_id", 3), "1 of 24 boxes are not in the full file (first: annotations"),
        (
            _change("file_name", "VOC2007/000099.jpg", "images"),
            "1 of 6 images are not in the full file (first: VOC2007/000099.jpg)",
        ),
        (
            _change("name", "zebra", "categories"),
            "1 of 3 classes are not in the full file (first: zebra)",
        ),
    ],
)
def test_what_the_full_file_lacks_is_counted_and_named(
    tmp_path: Path, break_it: Callable[[Any], None], message: str
) -> None:
    sparse = _sparse()
    assert sparse.boxes[0].category_id != 3
    content = to_coco(sparse.with_boxes(sorted(sparse.boxes, key=lambda box: box.id)))
    content = json.loads(json.dumps(content))
    break_it(content)
    path = tmp_path / "split9.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AnnotationError) as error:
        read_released(path, FULL)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_folders_may_differ_only_where_names_stay_unique(tmp_path: Path) -> None:
    full = replace(
        FULL,
        images=tuple(
            replace(image, file_name=f"{image.id % 2}/{image.id // 2}.jpg") for image in FULL.images
        ),
    )
    sparse = replace(
        full, images=tuple(replace(i, file_name=f"x{i.file_name}") for i in full.images)
    )
    with pytest.raises(AnnotationError, match="6 of 6 images"):
        _released(tmp_path / "s.json", sparse, full)
    one = full.with_images(full.images[:1])
    two = replace(one, images=sparse.images[:2])
    assert [image.file_name for image in two.images] == ["x0/0.jpg", "x1/0.jpg"]
    with pytest.raises(AnnotationError, match="2 of 2 images"):
        _released(tmp_path / "s.json", two, one)


def test_images_may_be_left_out(tmp_path: Path) -> None:
    sparse = _sparse()
    released = _released(tmp_path / "s.json", sparse.with_images(sparse.images[2:]))
    assert released.as_json()["images_left_out"] == 2
    assert len(released.removed.boxes) == 48 - len(released.sparse.boxes)


def test_nothing_is_found_in_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="24 of 24 boxes are not in the full file"):
        _released(tmp_path / "s.json", _sparse(), FULL.with_boxes([]))
    empty = _released(tmp_path / "s.json", FULL.with_boxes([]))
    assert list(empty.removed.boxes) == list(FULL.boxes)


def test_the_file_is_copied_and_recorded(tmp_path: Path) -> None:
    source, out = tmp_path / "split9_50p.json", tmp_path / "out"
    content = json.dumps({**to_coco(_sparse()), "info": {"by": "others"}}, indent=3)
    source.write_text(content, encoding="utf-8")
    out.mkdir()
    record = write_released(read_released(source, FULL), out, source="full.json")
    assert (out / "train.json").read_text(encoding="utf-8") == content
    assert len(read_coco(out / "removed.json").boxes) == 24
    assert json.loads((out / "split.json").read_text(encoding="utf-8")) == record
    assert record["recipe"] is None
    assert record["seed"] is None
    assert record["boxes"] == {"train": 24, "removed": 24}
    assert sum(row["removed"] for row in record["classes"].values()) == 24
    assert record["released"] == {
        "name": "split9_50p",
        "file": str(source),
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "matched": {"by_id": 24, "by_place": 0},
        "offset": 0.0,
        "images_left_out": 0,
    }
