"""Scale jitter: boxes stay on their objects, and truncated regions are unknown."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.config.augmentations import ScaleJitterConfig
from sparsedet.config.training_config import load_config
from sparsedet.modeling.targets import Role
from sparsedet.training.augmentation.scale_jitter import clip_boxes, draw_scale_jitter

SIZE = (120, 160)
BOX = (60.0, 40.0, 100.0, 80.0)
GREY, WHITE = 50, 250


def scene() -> NDArray[np.uint8]:
    image = np.full((*SIZE, 3), GREY, dtype=np.uint8)
    image[40:80, 60:100] = WHITE
    return image


@pytest.mark.parametrize("scales", [(0.4, 0.9), (1.1, 1.5), (0.7, 1.4)])
def test_boxes_stay_on_their_objects(scales: tuple[float, float]) -> None:
    config = ScaleJitterConfig(scale=scales)
    boxes = np.array([BOX], dtype=np.float32)
    errors = []
    for seed in range(40):
        drawn = draw_scale_jitter(SIZE, config, (GREY,) * 3, np.random.default_rng(seed))
        view, (moved,) = drawn.apply_image(scene()), drawn.apply_boxes(boxes)
        assert view.shape == (*SIZE, 3)
        (left, top, right, bottom) = moved
        scale = (right - left) / 40
        assert (bottom - top) / 40 == pytest.approx(scale, abs=1e-5)
        assert scales[0] <= scale <= scales[1]
        # The share of each pixel that is white, summed up: what the object covers.
        white = (view[..., 0].astype(float) - GREY) / (WHITE - GREY)
        inside = clip_boxes(moved[None], np.array([Role.LABEL]), SIZE)[0][0]
        assert white.sum() == pytest.approx(
            (inside[2] - inside[0]) * (inside[3] - inside[1]), rel=0.03, abs=30
        )
        if tuple(inside) == tuple(moved):
            rows, columns = (np.indices(SIZE) + 0.5) * white / white.sum()
            errors += [columns.sum() - (left + right) / 2, rows.sum() - (top + bottom) / 2]
    assert len(set(errors)) > 10
    assert np.abs(errors).max() < 0.5
    # Single images are off by the rounding of edges, not all of them in one direction.
    assert abs(np.mean(errors)) < 0.05


@pytest.mark.parametrize(
    ("box", "role", "expected"),
    [
        pytest.param((10, 10, 20, 20), Role.LABEL, Role.LABEL, id="inside"),
        pytest.param((-4, 10, 6, 20), Role.LABEL, Role.LABEL, id="60 % left"),
        pytest.param((-5, 10, 5, 20), Role.MINED, Role.IGNORE_REGION, id="50 % left"),
        pytest.param((-5, 10, 5, 20), Role.VERIFIED_NEGATIVE, None, id="half of a rejected box"),
        pytest.param(
            (-4, 10, 6, 20),
            Role.VERIFIED_NEGATIVE,
            Role.VERIFIED_NEGATIVE,
            id="most of a rejected box",
        ),
        pytest.param((-30, 10, -10, 20), Role.LABEL, None, id="outside"),
        pytest.param((170, 10, 190, 20), Role.IGNORE_REGION, None, id="an ignore region outside"),
        pytest.param((-80, -60, 240, 180), Role.EXHAUSTIVE, Role.EXHAUSTIVE, id="the whole image"),
        pytest.param(
            (-80, -60, 240, 180), Role.COMPLETE_CLASS, Role.COMPLETE_CLASS, id="a complete class"
        ),
    ],
)
def test_what_is_cut_off_is_neither_learned_nor_punished(
    box: tuple[float, ...], role: Role, expected: Role | None
) -> None:
    clipped, (new_role,), (stays,) = clip_boxes(
        np.array([box], dtype=np.float32), np.array([role]), SIZE
    )
    assert stays == (expected is not None)
    if expected is not None:
        assert new_role == expected
        assert clipped.min() >= 0
        assert (clipped[:, [2, 3]] <= (160, 120)).all()


def test_the_frame_has_the_colour_of_nothing() -> None:
    """As BGR, in whatever order the network wants its colours."""
    mean = ["MODEL.PIXEL_MEAN", "[1.0, 2.0, 3.0]", "MODEL.WEIGHTS", ""]
    fill = load_config("lite0_fpn", mean).input.fill
    assert fill == (3.0, 2.0, 1.0)
    bgr = load_config("lite0_fpn", [*mean, "INPUT.FORMAT", "BGR"])
    assert bgr.input.fill == (1.0, 2.0, 3.0)
    half = ScaleJitterConfig(scale=(0.5, 0.5))
    view = draw_scale_jitter(SIZE, half, fill, np.random.default_rng(0)).apply_image(scene())
    assert ((view == (3, 2, 1)).all(axis=-1)).sum() > SIZE[0] * SIZE[1] / 2
