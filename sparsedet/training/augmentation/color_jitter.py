"""The augmented view of a training image: colour jitter and erasing.

The published order is colour first, then geometry. Resizing and flipping commute with both up to
rounding, so the jitter runs on the small resized image, where it is cheap.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray

from sparsedet.modeling.inputs import UInt8Image

# Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks" (2012),
# section 4.1: principal components of ImageNet's pixel colours, RGB, for values in 0..1.
_COLOUR_AXES = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
_COLOUR_SPREAD = np.array([0.2175, 0.0188, 0.0045])
_BGR_LUMA = np.array([0.114, 0.587, 0.299])
_ERASE_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class AugmentedViewRule:
    """How far the augmented view departs from the original."""

    jitter: tuple[float, float]
    """Range of the factors of contrast, brightness and saturation."""
    lighting: float
    """Standard deviation of the lighting, in units of ImageNet's colour spread (0 to 1 values)."""
    erase: bool
    erase_area: tuple[float, float]
    """Range of the erased share of a labelled box's area."""
    erase_aspect: tuple[float, float]
    """Range of the erased rectangle's width / height."""


def augmented_view_rule(cfg: CfgNode) -> AugmentedViewRule:
    """Return the rule that SPARSEDET.AUGMENTED_VIEW sets."""
    rule = cfg.SPARSEDET.AUGMENTED_VIEW
    return AugmentedViewRule(
        tuple(rule.JITTER),
        rule.LIGHTING,
        rule.ERASE,
        tuple(rule.ERASE_AREA),
        tuple(rule.ERASE_ASPECT),
    )


@dataclass(frozen=True, slots=True)
class AugmentedView:
    """What was drawn for one augmented view."""

    contrast: float
    brightness: float
    saturation: float
    """Factors; 1 changes nothing."""
    lighting: NDArray[np.float64]
    """Shape (3,): RGB, added to values of 0 to 255."""
    erased: tuple[int, int, int, int] | None
    """XYXY in whole pixels; None: nothing."""


def draw_view(
    boxes: NDArray[np.float32], rule: AugmentedViewRule, rng: np.random.Generator
) -> AugmentedView:
    """Draw an augmented view of an image; one of its `boxes` (N, 4), XYXY, loses a rectangle."""
    contrast, brightness, saturation = rng.uniform(*rule.jitter, size=3)
    lighting = _COLOUR_AXES @ (rng.normal(0, rule.lighting, size=3) * _COLOUR_SPREAD) * 255
    erased = None
    if rule.erase and len(boxes):
        erased = _draw_rectangle(boxes[rng.integers(len(boxes))], rule, rng)
    return AugmentedView(contrast, brightness, saturation, lighting, erased)


def augmented_view(image: UInt8Image, view: AugmentedView) -> UInt8Image:
    """Return a copy of a BGR image as drawn: jittered, and blackened in a rectangle."""
    changed = _jitter_colours(image, view)
    if view.erased is not None:
        left, top, right, bottom = view.erased
        changed[top:bottom, left:right] = 0
    return changed


def _jitter_colours(image: UInt8Image, view: AugmentedView) -> UInt8Image:
    """Change contrast, brightness, saturation and lighting, in this order.

    Each maps colours linearly, so one matrix does all four in a single pass.
    """
    mean = np.asarray(cv2.mean(image))[:3].mean()
    mix = view.saturation * np.eye(3) + (1 - view.saturation) * _BGR_LUMA
    shift = view.brightness * (1 - view.contrast) * mean + view.lighting[::-1]
    affine = np.column_stack([view.brightness * view.contrast * mix, shift])
    # In float32: on uint8 OpenCV would calculate with 10 bits.
    changed = cv2.transform(image.astype(np.float32), affine)
    return np.asarray(np.clip(changed, 0, 255, out=changed), dtype=np.uint8)


def _draw_rectangle(
    box: NDArray[np.float32], rule: AugmentedViewRule, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw a rectangle inside `box`; None where none of the drawn ones fits."""
    left, top, right, bottom = (float(edge) for edge in box)
    width, height = right - left, bottom - top
    for _ in range(_ERASE_ATTEMPTS):
        area = rng.uniform(*rule.erase_area) * width * height
        aspect = rng.uniform(*rule.erase_aspect)
        erased_width, erased_height = (area * aspect) ** 0.5, (area / aspect) ** 0.5
        if erased_width <= width and erased_height <= height:
            x = left + rng.uniform(0, width - erased_width)
            y = top + rng.uniform(0, height - erased_height)
            return round(x), round(y), round(x + erased_width), round(y + erased_height)
    return None
