"""Every class gets its own colour."""

from itertools import combinations

import cv2
import numpy as np
import pytest

from sparsedet.integrations.label_studio.review_project.class_colors import (
    distinct_colors,
    parse_color,
)


def least_distance(colors: list[str]) -> float:
    """The distance in Lab of the two that look most alike, as OpenCV computes it."""
    pixels = np.array([[list(bytes.fromhex(color[1:])) for color in colors]], dtype=np.float32)
    lab = np.asarray(cv2.cvtColor(pixels / 255, cv2.COLOR_RGB2Lab))[0]
    pairs = combinations(range(len(lab)), 2)
    return min(float(np.linalg.norm(lab[one] - lab[other])) for one, other in pairs)


@pytest.mark.parametrize(("classes", "distance"), [(2, 60), (8, 35), (20, 25), (30, 20)])
def test_classes_without_colors_get_distinct_ones(classes: int, distance: float) -> None:
    colors = distinct_colors([""] * classes)
    assert least_distance(colors) >= distance
    # One more class changes none of them.
    assert distinct_colors([""] * (classes + 1))[:-1] == colors


def test_distinct_colors_are_kept_and_doubles_replaced() -> None:
    own = ["#D62728", "green", "", "#1f77b4", "#D52829", "rgba(31, 119, 180, 0.5)", "blue-ish"]
    colors = distinct_colors(own)
    assert colors[0] == "#d62728"
    assert colors[1] == "#008000"
    assert colors[3] == "#1f77b4"
    assert not {colors[4], colors[5]} & {"#d52829", "#1f77b4"}
    assert least_distance(colors) >= 20
    # With its result nothing changes any more.
    assert distinct_colors(colors) == colors


@pytest.mark.parametrize("red", ["red", "#f00", "#FF0000", "rgb(250, 4, 4)"])
def test_no_class_looks_like_a_box_that_looks_wrong(red: str) -> None:
    colors = distinct_colors([red, "#008000"])
    assert colors[1] == "#008000"
    assert least_distance(["#ff0000", *colors]) >= 20


def test_thirty_classes_of_one_color() -> None:
    colors = distinct_colors(["#36b37e"] * 30)
    assert colors[0] == "#36b37e"
    assert least_distance(colors) >= 18


@pytest.mark.parametrize(
    ("text", "color"),
    [
        (" #fff ", (255, 255, 255)),
        ("#1f77b480", (31, 119, 180)),
        ("rgb(1 2 3 / 40%)", (1, 2, 3)),
        ("hsl(120, 100%, 50%)", (0, 255, 0)),
        ("rebeccapurple", (102, 51, 153)),
        ("#DA935D", None),  # the editor takes it for none
        ("", None),
        ("no colour", None),
    ],
)
def test_reads_colors_as_the_editor_does(text: str, color: tuple[int, int, int] | None) -> None:
    assert parse_color(text) == color
