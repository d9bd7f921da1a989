"""Boxes drawn into images."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.reporting.pictures import (
    ACCEPTED,
    HUMAN,
    OUTCOME_STYLES,
    PENDING,
    REJECTED,
    BoxStyle,
    DrawnBox,
    before_and_after,
    draw_boxes,
)
from sparsedet.simulation.scenes import make_scenes


def drawn(style: BoxStyle, text: str = "") -> NDArray[np.bool_]:
    """Return where the picture of a 300 x 300 image with one box of 50 to 250 has its colour."""
    image = np.zeros((300, 300, 3), dtype=np.uint8)
    picture = draw_boxes(image, [DrawnBox((50, 50, 250, 250), text, style)], max_width=300)
    where: NDArray[np.bool_] = (picture == style.colour).all(axis=-1)
    return where


def share_of_edge(where: NDArray[np.bool_]) -> float:
    """Return how much of the box's upper edge is drawn."""
    return float(where[50, 50:250].mean())


def test_lines_tell_outcomes_apart_without_colour() -> None:
    assert share_of_edge(drawn(ACCEPTED)) == 1
    assert share_of_edge(drawn(REJECTED)) == 1
    assert 0.3 < share_of_edge(drawn(PENDING)) < 0.8
    centre = np.s_[145:155, 145:155]
    assert drawn(REJECTED)[centre].any()
    assert not drawn(ACCEPTED)[centre].any()


def test_every_kind_of_box_has_a_look_of_its_own() -> None:
    styles = [HUMAN, *OUTCOME_STYLES.values()]

    assert len({style.css_colour for style in styles}) == len(styles)


def test_a_picture_keeps_to_its_width() -> None:
    image = np.zeros((500, 2000, 3), dtype=np.uint8)
    box = DrawnBox((1000, 250, 1500, 400), "", HUMAN)

    picture = draw_boxes(image, [box], max_width=640)

    assert picture.shape == (160, 640, 3)
    rows, columns = np.nonzero((picture == HUMAN.colour).all(axis=-1))
    # Lines are two pixels wide, half of them outside of the box.
    assert (rows.min(), rows.max()) == (pytest.approx(80, abs=1), pytest.approx(128, abs=1))
    assert (columns.min(), columns.max()) == (pytest.approx(320, abs=1), pytest.approx(480, abs=1))


@pytest.mark.parametrize("name", ["Zelle größer", "клетка", "two\nlines", "x" * 300, ""])
def test_any_class_name_can_be_written(name: str) -> None:
    assert drawn(HUMAN, name).any()


def test_names_beyond_ascii_are_told_apart() -> None:
    assert (drawn(HUMAN, "äää") != drawn(HUMAN, "ööö")).any()


def test_a_round_that_mined_nothing_has_a_picture_too(tmp_path: Path) -> None:
    scenes = make_scenes(2, tmp_path, seed=1)
    height, width = scenes.images[0].height, scenes.images[0].width

    picture = before_and_after(scenes, [], tmp_path, 2)

    assert picture.shape[0] > 2 * height
    assert picture.shape[1] > 2 * width
