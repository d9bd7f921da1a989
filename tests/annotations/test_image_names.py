"""Matching images by name, despite folders and numbers added by tools."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations.image_names import match_file_names, original_name, same_images
from sparsedet.errors import SparseDetError
from sparsedet.integrations.label_studio.images.addresses import cache_name

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


@pytest.mark.parametrize(
    ("pulled", "truth", "expected"),
    [
        pytest.param("a.jpg", ["a.jpg", "x/a.jpg"], "a.jpg", id="the same name first"),
        pytest.param("in/a.jpg", ["out/a.jpg", "b.jpg"], "out/a.jpg", id="without folders"),
        pytest.param("12-abcd1234-a.jpg", ["a.jpg", "b.jpg"], "a.jpg", id="prefixes"),
        pytest.param("12-a-b.jpg", ["b.jpg", "a-b.jpg"], "a-b.jpg", id="the longest"),
        pytest.param("12-ab.jpg", ["b.jpg", "ab.jpg"], "ab.jpg", id="whole parts only"),
        pytest.param("3-f00-cell_1.jpg", ["x/cell (1).jpg"], "x/cell (1).jpg", id="taken out"),
        pytest.param("3-cell_1.jpg", ["cell#1.jpg"], "cell#1.jpg", id="replaced"),
        pytest.param("3-Zelle_ä.jpg", ["Zelle ä.jpg"], "Zelle ä.jpg", id="letters stay"),
    ],
)
def test_the_name_that_fits(pulled: str, truth: list[str], expected: str) -> None:
    assert match_file_names([pulled], truth) == {pulled: expected}


@pytest.mark.parametrize("name", ["plain.jpg", "with space.jpg", "a+b=c.jpg", "_x_.jpg"])
@pytest.mark.parametrize("address", ["/data/upload/1/0a1b2c3d-{}", "/data/local-files/?d=in/{}"])
def test_names_of_the_pull_are_found(name: str, address: str) -> None:
    pulled = cache_name(12, address.format(quote(name)))
    assert match_file_names([pulled], ["other.jpg", name]) == {pulled: name}


@pytest.mark.parametrize(
    ("pulled", "truth", "message"),
    [
        (["1-a.jpg", "2-b.jpg"], ["a.jpg"], "image 2-b.jpg: no image of that name"),
        (["12-ab.jpg"], ["b.jpg"], "image 12-ab.jpg: no image of that name"),
        (["1-a.jpg"], ["x/a.jpg", "y/a.jpg"], "it may be x/a.jpg or y/a.jpg"),
        (["1-a.jpg", "2-a.jpg"], ["a.jpg"], "image 2-a.jpg: matches a.jpg .* and so does 1-a.jpg"),
    ],
)
def test_doubt_is_refused(pulled: list[str], truth: list[str], message: str) -> None:
    with pytest.raises(SparseDetError, match=message):
        match_file_names(pulled, truth)


@pytest.mark.parametrize(
    ("file_name", "tool_id", "original"),
    [
        ("12-1f0c2a9b-cell_1.jpg", "12", "cell_1.jpg"),
        ("12-cell.jpg", "12", "cell.jpg"),
        # Not numbered by a pull: another task's number, a path for an id, or no id at all.
        ("12-cell.jpg", "7", "12-cell.jpg"),
        ("day/12-1f0c2a9b-a.png", "day/12-1f0c2a9b-a.png", "day/12-1f0c2a9b-a.png"),
        ("1f0c2a9b-cell.jpg", None, "1f0c2a9b-cell.jpg"),
        # No hash of an upload.
        ("12-1F0C2A9B-cell.jpg", "12", "1F0C2A9B-cell.jpg"),
        ("12-1f0c2a9-cell.jpg", "12", "1f0c2a9-cell.jpg"),
        ("12-1f0c2a9b-", "12", "1f0c2a9b-"),
        ("12-", "12", "12-"),
    ],
)
def test_images_have_the_names_that_people_gave_them(
    file_name: str, tool_id: str | None, original: str
) -> None:
    assert original_name(file_name, tool_id) == original
