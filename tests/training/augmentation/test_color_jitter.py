"""The augmented view: colours as published, and one box's rectangle erased."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsedet.config.augmentations import AugmentedViewConfig
from sparsedet.training.augmentation.color_jitter import draw_augmented_view


def erased_share(
    image: NDArray[np.uint8], box: tuple[int, int, int, int], rng: np.random.Generator
) -> float:
    erasing = AugmentedViewConfig(jitter=(1.0, 1.0), lighting=0.0)
    drawn = draw_augmented_view(np.array([box], dtype=np.float32), erasing, rng)
    view = drawn.apply_image(image)
    left, top, right, bottom = box
    outside = view.copy()
    outside[top:bottom, left:right] = image[top:bottom, left:right]
    assert np.abs(outside.astype(int) - image).max() <= 1
    return float((view[top:bottom, left:right] == 0).all(axis=-1).mean())


@pytest.mark.parametrize("box", [(20, 20, 120, 90), (0, 0, 100, 200), (5, 100, 300, 240)])
def test_erasing_takes_its_share_of_a_box_and_nothing_else(box: tuple[int, int, int, int]) -> None:
    image = np.full((240, 320, 3), 127, dtype=np.uint8)
    shares = [erased_share(image, box, np.random.default_rng(seed)) for seed in range(20)]
    erased = [share for share in shares if share]
    assert len(erased) > 15
    assert all(0.37 <= share <= 0.73 for share in erased)


def test_where_no_rectangle_fits_nothing_is_erased() -> None:
    image = np.full((240, 320, 3), 127, dtype=np.uint8)
    assert erased_share(image, (5, 100, 300, 112), np.random.default_rng(0)) == 0


def test_views_depend_on_the_generator_alone() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 35, 35]], dtype=np.float32)
    view = AugmentedViewConfig()
    first, again = (
        draw_augmented_view(boxes, view, np.random.default_rng(7)).apply_image(image)
        for _ in range(2)
    )
    assert np.array_equal(first, again)


def jittered(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float64]:
    """The published jitter, one step after the other, of a BGR image."""
    contrast, brightness, saturation = rng.uniform(0.5, 1.5, size=3)
    spread = rng.normal(0, 1.2, size=3) * (0.2175, 0.0188, 0.0045)
    view = image.astype(np.float64)
    view = view.mean() + contrast * (view - view.mean())
    view = brightness * view
    grey = (view * (0.114, 0.587, 0.299)).sum(axis=-1, keepdims=True)
    view = grey + saturation * (view - grey)
    axes = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )
    return np.asarray((view + 255 * (axes @ spread)[::-1]).clip(0, 255))


@pytest.mark.parametrize("seed", range(5))
def test_one_matrix_jitters_as_the_steps_do(seed: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    no_boxes = np.zeros((0, 4), dtype=np.float32)
    jitter = AugmentedViewConfig(erase=False)
    drawn = draw_augmented_view(no_boxes, jitter, np.random.default_rng(seed))
    view = drawn.apply_image(image)
    expected = jittered(image, np.random.default_rng(seed))
    # Fractions are cut off.
    assert ((expected - view > -0.01) & (expected - view < 1.01)).all()
