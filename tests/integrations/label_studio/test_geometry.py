"""Percent to pixels and back."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.integrations.label_studio.geometry import GeometryError, from_percent, to_percent

WIDTH, HEIGHT = 200, 100


def place(
    x: Any = 10, y: Any = 20, width: Any = 30, height: Any = 40, **more: Any
) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **more}


@pytest.mark.parametrize(
    ("value", "xyxy", "clipped", "rotated"),
    [
        (place(), (20, 20, 80, 60), False, False),
        (place(rotation=0), (20, 20, 80, 60), False, False),
        (place(rotation=360), (20, 20, 80, 60), False, False),
        # Turned clockwise about the top left corner: the box hangs to its left.
        (place(x=50, rotation=90), (60, 20, 100, 80), False, True),
        (place(x=50, y=70, rotation=180), (40, 30, 100, 70), False, True),
        # 30 x 30 pixels, turned by 45 degrees.
        (
            place(x=50, y=20, width=15, height=30, rotation=45),
            (100 - 15 * math.sqrt(2), 20, 100 + 15 * math.sqrt(2), 20 + 30 * math.sqrt(2)),
            False,
            True,
        ),
        (place(x=90), (180, 20, 200, 60), True, False),
        (place(x=-10, y=-10), (0, 0, 40, 30), True, False),
        (place(x=70.000000001), (140.000000002, 20, 200, 60), False, False),
    ],
)
def test_from_percent(value: Any, xyxy: Any, clipped: bool, rotated: bool) -> None:
    rectangle = from_percent(value, WIDTH, HEIGHT)
    assert rectangle.xyxy == pytest.approx(xyxy, abs=1e-6)
    assert (rectangle.clipped, rectangle.rotated) == (clipped, rotated)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"x": 1, "y": 1, "height": 1}, "no width"),
        (place(width=None), "no width"),
        (place(x="12"), "x is not a number"),
        (place(x=True), "x is not a number"),
        (place(y=math.nan), "y is not finite"),
        (place(rotation="left"), "rotation is not a number"),
        (place(width=0), "no area"),
        (place(height=-3), "no area"),
        (place(x=100), "outside the image"),
        (place(x=-60), "outside the image"),
    ],
)
def test_what_gives_no_box(value: Any, reason: str) -> None:
    with pytest.raises(GeometryError, match=f"^{reason}$"):
        from_percent(value, WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("xyxy", "reason"),
    [
        ((0, 0, math.inf, 10), "an edge that is not finite"),
        ((math.nan, 0, 10, 10), "an edge that is not finite"),
        ((-1, 0, 10, 10), "outside its image of 200 x 100"),
        ((0, 0, 10, 101), "outside its image of 200 x 100"),
        ((10, 0, 10, 10), "no area"),
        ((10, 0, 5, 10), "no area"),
    ],
)
def test_what_can_not_be_pushed(xyxy: Any, reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        to_percent(xyxy, WIDTH, HEIGHT)


def test_the_rest_of_a_rounding_is_cut_off() -> None:
    assert to_percent((-0.001, 0, 200.001, 100), WIDTH, HEIGHT) == place(0, 0, 100, 100)


edges = st.floats(0, 1, allow_subnormal=False)


@given(edges, edges, edges, edges, st.integers(8, 8000), st.integers(8, 8000))
def test_there_and_back(a: float, b: float, c: float, d: float, width: int, height: int) -> None:
    xyxy = (min(a, b) * width, min(c, d) * height, max(a, b) * width, max(c, d) * height)
    if xyxy[2] - xyxy[0] < 0.1 or xyxy[3] - xyxy[1] < 0.1:
        return
    back = from_percent(to_percent(xyxy, width, height), width, height)
    assert back.xyxy == pytest.approx(xyxy, abs=1e-6)
    assert not back.clipped
