"""Numbers, times and alternatives in messages."""

from collections.abc import Iterable

import pytest

from sparsedet.wording import counted, first_of, one_of, roughly


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (0, ("box",), "0 boxes"),
        (1, ("box",), "1 box"),
        (2, ("mined box",), "2 mined boxes"),
        (1, ("image",), "1 image"),
        (1200, ("image",), "1200 images"),
        (3, ("class",), "3 classes"),
        (2, ("push",), "2 pushes"),
        (1, ("image was", "images were"), "1 image was"),
        (0, ("image was", "images were"), "0 images were"),
        (2, ("image was", "images were"), "2 images were"),
    ],
)
def test_words_agree_with_the_number(number: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(number, *words) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5300, "88 min"),
        (5400, "1 h 30 min"),
        (7201, "2 h"),
    ],
)
def test_times_are_said_as_people_do(seconds: float, text: str) -> None:
    assert roughly(seconds) == text


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("a",), "a"), (("a", "b"), "a or b"), (("auto", "cpu", "cuda"), "auto, cpu or cuda")],
)
def test_alternatives_are_listed(names: tuple[str, ...], expected: str) -> None:
    assert one_of(names) == expected


@pytest.mark.parametrize(
    ("names", "most", "expected"),
    [
        ((), 5, ""),
        (("a", 2), 2, "a, 2"),
        (("a", "b", "c"), 2, "a, b and 1 more"),
        (map(str, range(17)), 5, "0, 1, 2, 3, 4 and 12 more"),
    ],
)
def test_long_lists_are_cut(names: Iterable[object], most: int, expected: str) -> None:
    assert first_of(names, most) == expected
