"""Which images are the same, whatever folders and numbers tools put before their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.sparsify.image_names import same_images

PARTS = st.sampled_from(["a.jpg", "b.jpg", "1-a.jpg", "2-a.jpg", "1-2-a.jpg", "1-", "é.png"])
FOLDERS = st.sampled_from(["", "images/", "day/", "day/images/"])
NAMES = st.lists(st.builds("{}{}".format, FOLDERS, PARTS), unique=True)


@pytest.mark.parametrize(
    ("names", "others", "same"),
    [
        (["a.jpg", "b.jpg"], ["b.jpg", "a.jpg"], [1, 0]),
        (["images/a.jpg", "images/b.jpg"], ["a.jpg", "b.jpg"], [0, 1]),
        (["a.jpg"], ["day/a.jpg"], [0]),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"], [None, None]),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], [None]),
        (["x/a.jpg", "z/a.jpg"], ["x/a.jpg", "y/a.jpg"], [0, None]),
        (["12-0001.jpg"], ["0001.jpg"], [0]),
        (["12-1a2b3c4d-0001.jpg"], ["train/0001.jpg"], [0]),
        (["0001.jpg"], ["12-0001.jpg"], [0]),
        (["12-0001.jpg", "13-0001.jpg"], ["0001.jpg"], [None, None]),
        (["2007-01.jpg"], ["2008-01.jpg"], [None]),
        (["a.jpg", "12-a.jpg"], ["a.jpg"], [0, None]),
        (["c.jpg"], ["a.jpg"], [None]),
        ([], ["a.jpg"], []),
    ],
)
def test_the_same_image_is_found(
    names: list[str], others: list[str], same: list[int | None]
) -> None:
    assert same_images(names, others) == same


@given(NAMES, NAMES)
def test_no_image_is_found_twice_and_equal_names_are_the_same(
    names: list[str], others: list[str]
) -> None:
    found = same_images(names, others)
    rows = [row for row in found if row is not None]
    assert len(set(rows)) == len(rows)
    for name, row in zip(names, found, strict=True):
        if name in others:
            assert row == others.index(name)


@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(names: list[str], random: object) -> None:
    others = ["a.jpg", "day/b.jpg", "3-a.jpg"]
    pairs = set(zip(names, same_images(names, others), strict=True))
    assert pairs == set(zip(names[::-1], same_images(names[::-1], others), strict=True))
