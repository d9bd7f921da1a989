"""Marks of complete classes, by statement and from image-level labels, and their statistics."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.class_marks import (
    ClassMarks,
    with_complete_classes,
    with_image_labels,
)
from sparsedet.annotations.coco import to_coco
from sparsedet.errors import AnnotationError

CAT, DOG, BIRD = 1, 2, 3
CATEGORIES = (
    Category(CAT, "Cat", extra={"mid": "/m/01yrx"}),
    Category(DOG, "Dog"),
    Category(BIRD, "Bird"),
)
IMAGES = (Image(1, "train/a.jpg", 100, 100), Image(2, "b.png", 100, 100))
PLACE = (10.0, 10.0, 20.0, 20.0)


def dataset(*boxes: Box) -> Dataset:
    return Dataset(IMAGES, boxes, CATEGORIES)


def marks(marked: Dataset) -> list[set[int]]:
    return [set(image.complete_classes) for image in marked.images]


def test_classes_may_be_complete_on_all_images() -> None:
    first = replace(IMAGES[0], complete_classes=frozenset({BIRD}))
    given = replace(dataset(), images=(first, IMAGES[1]))
    assert marks(with_complete_classes(given, ["Cat", "Dog"])) == [{CAT, DOG, BIRD}, {CAT, DOG}]
    assert with_complete_classes(given, []) == given
    with pytest.raises(AnnotationError, match="unknown class 'cat'; the data has Cat, Dog"):
        with_complete_classes(given, ["Dog", "cat"])


def labels(
    tmp_path: Path, *lines: str, header: str = "ImageID,Source,LabelName,Confidence"
) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return file


@pytest.mark.parametrize(
    ("lines", "boxes", "expected"),
    [
        pytest.param(["a,verification,Dog,0"], [], {DOG}, id="absent"),
        pytest.param(["a,verification,Dog,1"], [DOG], {DOG}, id="seen and boxed"),
        pytest.param(["a,verification,Dog,1"], [], set(), id="seen, but without a box"),
        pytest.param(["a,verification,/m/01yrx,0"], [], {CAT}, id="by a key of the class"),
        pytest.param(["a,machine,Dog,0"], [], set(), id="nobody verified it"),
        pytest.param(["a,verification,Dog,0.3"], [], set(), id="not sure"),
        pytest.param(["a,x,Dog,0", "a,y,Dog,1"], [], set(), id="people disagree"),
        pytest.param(["a,x,Dog,0", "a,y,Dog,0.0"], [], {DOG}, id="people agree"),
        pytest.param(["a,x,Dog,0"], [DOG], set(), id="a box of what is absent"),
        pytest.param(["other,x,Dog,0", "a,x,Fish,0"], [], set(), id="not in the data"),
    ],
)
def test_labels_of_images_say_what_is_complete(
    lines: list[str], boxes: list[int], expected: set[int], tmp_path: Path
) -> None:
    given = dataset(*(Box(n, 1, category, PLACE) for n, category in enumerate(boxes, start=1)))
    found = with_image_labels(given, labels(tmp_path, *lines))
    assert marks(found.dataset) == [expected, set()]


@pytest.mark.parametrize("group", [{"iscrowd": True}, {"extra": {"IsGroupOf": 1}}])
def test_a_group_with_one_box_is_not_complete(group: dict[str, Any], tmp_path: Path) -> None:
    file = labels(tmp_path, "a,verification,Dog,1")
    one, many = Box(1, 1, DOG, PLACE), replace(Box(2, 1, DOG, PLACE), **group)
    assert marks(with_image_labels(dataset(one), file).dataset) == [{DOG}, set()]
    assert marks(with_image_labels(dataset(one, many), file).dataset) == [set(), set()]


def test_labels_are_named_by_a_file_of_their_own(tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("/m/0bt9lr,Dog\n/m/0cgh4,Building\n")
    file = labels(tmp_path, "b,verification,/m/0bt9lr,0", "b,verification,/m/0cgh4,0")
    found = with_image_labels(dataset(), file, names)
    assert marks(found.dataset) == [set(), {DOG}]
    assert (found.absent, found.complete, found.contradicted, found.unknown) == (1, 0, 0, 1)


def test_what_became_of_the_labels_is_counted(tmp_path: Path) -> None:
    file = labels(
        tmp_path,
        *(
            "a,x,Dog,1",
            "a,x,Cat,0",
            "b,x,Dog,0",
            "b,x,Cat,0",
            "b,y,Cat,1",
            "c,x,Dog,0",
            "b,x,Ant,1",
        ),
    )
    found = with_image_labels(dataset(Box(1, 1, DOG, PLACE)), file)
    assert marks(found.dataset) == [{CAT, DOG}, {DOG}]
    assert found.in_words() == (
        "2 pairs of class and image absent, 1 complete; 1 contradicted and ignored; "
        "2 labels of other images or classes left out"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column ImageID"),
        ("ImageID,LabelName\na,Dog\n", "no column Confidence"),
        ("ImageID,LabelName,Confidence\na,Dog,0\n\na,Dog\n", "line 4 has 2 of 3 columns"),
        ("ImageID,LabelName,Confidence\na,Dog,none\n", "line 2: Confidence 'none' is not a number"),
    ],
)
def test_a_broken_file_of_labels_is_named(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(AnnotationError, match=f"labels.csv: {message}"):
        with_image_labels(dataset(), file)


def test_files_that_are_no_csv_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="can't be read as CSV"):
        with_image_labels(dataset(), tmp_path / "missing.csv")
    binary = tmp_path / "labels.csv"
    binary.write_bytes(b"ImageID,LabelName,Confidence\n\xff\xfe,Dog,0\n")
    with pytest.raises(AnnotationError, match="can't be read as CSV"):
        with_image_labels(dataset(), binary)
    names = tmp_path / "names.csv"
    names.write_text("/m/0bt9lr\n")
    with pytest.raises(AnnotationError, match=r"names\.csv: line 1 is not LABEL,CLASS NAME"):
        with_image_labels(dataset(), labels(tmp_path, "a,x,Dog,0"), names)


def test_marks_are_counted_from_datasets_and_from_files() -> None:
    images = (
        replace(IMAGES[0], exhaustive=True),
        replace(IMAGES[1], complete_classes=frozenset({CAT, DOG})),
        Image(3, "c.png", 9, 9, complete_classes=frozenset({CAT, DOG, BIRD})),
        Image(4, "d.png", 9, 9, complete_classes=frozenset({DOG})),
        Image(5, "e.png", 9, 9),
    )
    whole = replace(dataset(), images=images)
    expected = ClassMarks(complete=2, in_part=2, pairs=3)
    assert ClassMarks.of(images, len(CATEGORIES)) == expected
    assert ClassMarks.of_file(to_coco(whole)) == expected
    assert expected.in_words() == "2 images complete, 2 in part (3 pairs of class and image)"
    assert ClassMarks(1, 0, 0).in_words() == "1 image complete"


@pytest.mark.parametrize("content", [{}, {"images": 3}, {"images": [1, {"complete_classes": "x"}]}])
def test_a_file_that_is_not_checked_may_say_anything(content: dict[str, object]) -> None:
    assert ClassMarks.of_file(content) == ClassMarks(0, 0, 0)


def test_images_of_one_name_are_known_by_folder_or_suffix(tmp_path: Path) -> None:
    images = (*IMAGES, Image(3, "val/a.jpg", 9, 9), Image(4, "val/b.jpg", 9, 9))
    given = replace(dataset(), images=images)
    apart = labels(tmp_path, "train/a,x,Dog,0", "val/a.jpg,x,Cat,0", "b.png,x,Bird,0")
    found = with_image_labels(given, apart)
    assert marks(found.dataset) == [{DOG}, {BIRD}, {CAT}, set()]
    with pytest.raises(AnnotationError, match="ambiguous ImageID 'a': matches 2 images"):
        with_image_labels(given, labels(tmp_path, "a,x,Dog,0"))


def test_a_full_name_is_unambiguous(tmp_path: Path) -> None:
    images = (Image(1, "a.jpg", 100, 100), Image(2, "train/a.jpg", 100, 100))
    given = replace(dataset(), images=images)
    file = labels(tmp_path, "a.jpg,verification,Cat,0", "train/a.jpg,verification,Dog,0")
    assert marks(with_image_labels(given, file).dataset) == [{CAT}, {DOG}]
    with pytest.raises(AnnotationError, match="ambiguous ImageID 'a'"):
        with_image_labels(given, labels(tmp_path, "a,verification,Cat,0"))
