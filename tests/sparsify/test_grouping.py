"""Groups by folder, key and regular expression; connected sets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Image
from sparsedet.errors import SparseDetError
from sparsedet.sparsify import GroupBy
from sparsedet.sparsify.grouping import representatives


def image(name: str, **extra: Any) -> Image:
    return Image(1, name, 9, 9, extra=extra)


@pytest.mark.parametrize(
    ("text", "image", "expected"),
    [
        ("folder", image("a/b/1.jpg"), "a/b"),
        ("folder", image("1.jpg"), "."),
        ("key:video_id", image("1.jpg", video_id="x"), "x"),
        ("key:video_id", image("1.jpg", video_id=0), "0"),
        ("key:a:b", image("1.jpg", **{"a:b": "x"}), "x"),
        (r"regex:^(patient\d+)_", image("patient12_3.jpg"), "patient12"),
        (r"regex:^patient\d+", image("patient12_3.jpg"), "patient12"),
        (r"regex:(?:left|right):(\d)", image("a/left:4.jpg"), "4"),
    ],
)
def test_names_of_groups(text: str, image: Image, expected: str) -> None:
    group_by = GroupBy.parse(text)
    assert group_by.names([image]) == {1: expected}
    assert str(group_by) == text


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("key:video_id", image("1.jpg")),
        ("key:video_id", image("1.jpg", video_id=None)),
        ("key:video_id", image("1.jpg", video_id="")),
        ("key:video_id", image("1.jpg", video_id=float("nan"))),
        ("key:video_id", image("1.jpg", video_id=["x"])),
        (r"regex:^(patient\d+)_", image("1.jpg")),
        (r"regex:(p)?1", image("1.jpg")),
    ],
)
def test_an_image_without_group_is_an_error(text: str, image: Image) -> None:
    with pytest.raises(SparseDetError) as error:
        GroupBy.parse(text).names([image])
    assert str(error.value) == (
        f"1 of 1 images have no group by {text} (first: 1.jpg); every image needs one"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id", "expected folder, key:NAME"),
        ("folder:x", "expected folder, key:NAME"),
        ("key:", "expected folder, key:NAME"),
        ("", "expected folder, key:NAME"),
        ("regex:(a", r"not a regular expression (missing ), unterminated subpattern"),
    ],
)
def test_what_is_no_grouping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SparseDetError) as error:
        GroupBy.parse(text)
    assert message in str(error.value)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=6))
def test_sets_that_share_an_item_become_one(together: list[list[str]]) -> None:
    merged = [{item} for item in "abcdefgh"]
    for members in together:
        touched = [part for part in merged if part & set(members)]
        merged = [part for part in merged if not part & set(members)]
        merged += [set().union(*touched)] if touched else []
    expected = {item: min(part) for part in merged for item in part}
    assert representatives(list("hgfedcba"), together) == expected
