"""Round trips through formats preserve what each can store."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsedet.annotations import Dataset
from sparsedet.formats import Loaded, detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import datasets, objects, sizes, write_images

WORDS = st.text("abcxyz <&>é", min_size=1, max_size=6).map(str.strip).filter(bool)
LEAVES = st.one_of(WORDS, st.integers(-50, 50), st.sampled_from([0.5, 12.25, -3.0]), st.just(""))
KEYS = st.sampled_from(["difficult", "truncated", "occluded", "pose", "part", "track-id", "bone"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(KEYS, inner, min_size=1, max_size=3),
        st.dictionaries(KEYS, st.lists(LEAVES, min_size=2, max_size=3), min_size=1, max_size=2),
    ),
    max_leaves=6,
)
BOX_KEYS = st.fixed_dictionaries(
    {}, optional={"@custom": WORDS | st.just(""), "angle": VALUES, "xmin": st.just({"@unit": "px"})}
)
"""What else a `<bndbox>` may hold."""
EXTRAS = st.builds(
    lambda keys, own, name, box: keys | own | ({"name": name} if name else {}) | box,
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.fixed_dictionaries({}, optional={"@custom": WORDS}),
    st.fixed_dictionaries({}, optional={"@lang": WORDS}),
    BOX_KEYS.map(lambda box: {"bndbox": box} if box else {}),
)
DEFAULTS = {"pose": "Unspecified", "truncated": 0, "difficult": 0}


def through(name: str, dataset: Dataset, folder: Path) -> Loaded:
    """Write a dataset with its images in a format, and read it again."""
    images = write_images(dataset, folder / "source")
    (folder / "made").mkdir()
    load_format(name).write(dataset, folder / "made", images=images)
    assert detect_format(folder / "made") == name
    return read_dataset(folder / "made")


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
@given(dataset=datasets())
@settings(max_examples=30)
def test_images_classes_and_boxes_stay(name: str, dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded = through(name, dataset, Path(folder))
        assert loaded.images is not None
        for image in loaded.dataset.images:
            assert (loaded.images / image.file_name).is_file()
    back = loaded.dataset
    assert sizes(back) == sizes(dataset)
    before, after = objects(dataset), objects(back)
    for file_name, there in before.items():
        here = after[file_name]
        assert [category for category, _ in here] == [category for category, _ in there]
        for (_, box), (_, original) in zip(here, there, strict=True):
            assert box == pytest.approx(original, rel=0, abs=1e-4)


@given(dataset=datasets(EXTRAS))
@settings(max_examples=30)
def test_keys_of_objects_pass_through_voc_and_coco(dataset: Dataset) -> None:
    assert not [text for text in load_format("voc").losses(dataset) if text.startswith("keys")]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1").mkdir()
        (Path(folder) / "2").mkdir()
        (Path(folder) / "3").mkdir()
        first = through("voc", dataset, Path(folder) / "1").dataset
        second = through("coco", first, Path(folder) / "2").dataset
        third = through("voc", second, Path(folder) / "3").dataset
    expected = {
        image.file_name: [{**DEFAULTS, **box.extra} for box in dataset.boxes_by_image[image.id]]
        for image in dataset.images
    }
    for made in (first, second, third):
        assert extras(made) == expected
    assert third == first


def extras(dataset: Dataset) -> dict[str, list[dict[str, Any]]]:
    return {
        image.file_name: [dict(box.extra) for box in dataset.boxes_by_image[image.id]]
        for image in dataset.images
    }


@pytest.mark.parametrize("name", ["voc", "yolo"])
@given(dataset=datasets())
@settings(max_examples=15)
def test_a_second_round_changes_nothing(name: str, dataset: Dataset) -> None:
    """Numbers included: ids are those of file names and places, not of the order of the input."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "1").mkdir()
        (Path(folder) / "2").mkdir()
        first = through(name, dataset, Path(folder) / "1").dataset
        second = through(name, first, Path(folder) / "2").dataset
    assert [image.id for image in first.images] == list(range(1, len(first.images) + 1))
    assert [box.id for box in first.boxes] == list(range(1, len(first.boxes) + 1))
    assert [i.file_name for i in first.images] == sorted(i.file_name for i in dataset.images)
    assert second.images == first.images
    assert second.categories == first.categories
    for one, other in zip(first.boxes, second.boxes, strict=True):
        assert (one.id, one.image_id, one.category_id) == (
            other.id,
            other.image_id,
            other.category_id,
        )
        assert one.xyxy == pytest.approx(other.xyxy, rel=0, abs=1e-4)


@given(dataset=datasets())
@settings(max_examples=15)
def test_class_indices_follow_category_ids(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = through("yolo", dataset, Path(folder)).dataset
    ordered = sorted(dataset.categories, key=lambda category: category.id)
    assert [(c.id, c.name) for c in back.categories] == [
        (number, category.name) for number, category in enumerate(ordered, start=1)
    ]
