"""The augmented view of a training image (end-to-end): colour jitter and erasing.

Suri et al., "SparseDet: Improving Sparsely Annotated Object Detection with Pseudo-positive Mining"
(ICCV 2023). The published order is colour first, then geometry. Resizing and flipping commute with
both up to rounding, so the jitter runs on the small resized image, where it is cheap.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.config.augmentations import AugmentedViewConfig
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
class AugmentedView:
    """Random parameters of an augmented view."""

    contrast: float
    brightness: float
    saturation: float
    """Factors; 1 means no change."""
    lighting: NDArray[np.float64]
    """Shape (3,): RGB, added to values of 0 to 255."""
    erased: tuple[int, int, int, int] | None
    """XYXY in whole pixels; None: nothing."""

    def apply_image(self, image: UInt8Image) -> UInt8Image:
        """Return a jittered copy of a BGR image, with a rectangle blackened."""
        changed = self._jitter(image)
        if self.erased is not None:
            left, top, right, bottom = self.erased
            changed[top:bottom, left:right] = 0
        return changed

    def _jitter(self, image: UInt8Image) -> UInt8Image:
        """Change contrast, brightness, saturation and lighting, in this order.

        Each is a linear map of colours, so one matrix does all four in a single pass.
        """
        mean = np.asarray(cv2.mean(image))[:3].mean()
        mix = self.saturation * np.eye(3) + (1 - self.saturation) * _BGR_LUMA
        shift = self.brightness * (1 - self.contrast) * mean + self.lighting[::-1]
        affine = np.column_stack([self.brightness * self.contrast * mix, shift])
        # In float32: on uint8 OpenCV would compute with 10 bits.
        changed = cv2.transform(image.astype(np.float32), affine)
        return np.asarray(np.clip(changed, 0, 255, out=changed), dtype=np.uint8)


def draw_augmented_view(
    boxes: NDArray[np.float32], config: AugmentedViewConfig, rng: np.random.Generator
) -> AugmentedView:
    """Draw an augmented view of an image, erasing a rectangle of one of its `boxes` (N, 4),
    XYXY."""
    contrast, brightness, saturation = rng.uniform(*config.jitter, size=3)
    lighting = _COLOUR_AXES @ (rng.normal(0, config.lighting, size=3) * _COLOUR_SPREAD) * 255
    erased = None
    if config.erase and len(boxes):
        erased = _draw_rectangle(boxes[rng.integers(len(boxes))], config, rng)
    return AugmentedView(contrast, brightness, saturation, lighting, erased)


def _draw_rectangle(
    box: NDArray[np.float32], config: AugmentedViewConfig, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw a rectangle inside `box`; None if none of the drawn ones fits."""
    left, top, right, bottom = (float(edge) for edge in box)
    width, height = right - left, bottom - top
    for _ in range(_ERASE_ATTEMPTS):
        area = rng.uniform(*config.erase_area) * width * height
        aspect = rng.uniform(*config.erase_aspect)
        erased_width, erased_height = (area * aspect) ** 0.5, (area / aspect) ** 0.5
        if erased_width <= width and erased_height <= height:
            x = left + rng.uniform(0, width - erased_width)
            y = top + rng.uniform(0, height - erased_height)
            return round(x), round(y), round(x + erased_width), round(y + erased_height)
    return None
