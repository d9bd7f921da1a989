"""Scale jitter: a training image zoomed in or out, at a random position in its frame.

Few labels show few sizes; and the boxes that a model mined on unchanged images are seen changed in
training: otherwise it would learn from itself what it already knows. For strongly changed inputs
with targets from unchanged ones see Sohn et al., "FixMatch" (NeurIPS 2020); for large-scale jitter
Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation"
(CVPR 2021).
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.config.augmentations import ScaleJitterConfig
from sparsedet.modeling.inputs import UInt8Image
from sparsedet.modeling.targets import WHOLE_IMAGE, Role

_LEAST_VISIBLE = 0.6
"""Share of a box; if less of an object is left, the position of the rest is unknown."""


@dataclass(frozen=True, slots=True)
class ScaleJitter:
    """Random parameters for one image, whose size stays."""

    scale: float
    x: float
    y: float
    """Position of the image's left top corner, in pixels; negative: outside of the frame."""
    fill: tuple[float, ...]
    """BGR colour of the frame around a shrunken image."""

    def apply_image(self, image: UInt8Image) -> UInt8Image:
        """Return an image of the same size that shows a part of `image`, or all of it shrunken."""
        height, width = image.shape[:2]
        # OpenCV's coordinates refer to pixel centres, boxes to pixel edges.
        middle = (self.scale - 1) / 2
        matrix = np.array([[self.scale, 0, self.x + middle], [0, self.scale, self.y + middle]])
        jittered = cv2.warpAffine(image, matrix, (width, height), borderValue=self.fill)
        return np.asarray(jittered, dtype=np.uint8)

    def apply_boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transform boxes (N, 4), XYXY; the result may be outside of the image."""
        moved = boxes * self.scale + np.array([self.x, self.y, self.x, self.y])
        return np.asarray(moved, dtype=np.float32)


def draw_scale_jitter(
    size: tuple[int, int],
    config: ScaleJitterConfig,
    fill: tuple[float, ...],
    rng: np.random.Generator,
) -> ScaleJitter:
    """Draw scale and position for an image of `size` (height, width)."""
    height, width = size
    least, most = (math.log(scale) for scale in config.scale)
    scale = math.exp(rng.uniform(least, most))
    # A small image may be anywhere in the frame, the frame anywhere in a large one.
    x, y = (rng.random() * side * (1 - scale) for side in (width, height))
    return ScaleJitter(scale, x, y, fill)


def clip_boxes(
    boxes: NDArray[np.float32], roles: NDArray[np.int64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Clip boxes to the image, and ignore objects that are mostly cut off.

    Args:
        boxes: shape (N, 4), XYXY in pixels.
        roles: shape (N,), the `Role` of every box.
        size: height and width of the image.

    Returns:
        The clipped boxes, their roles, and which of them are kept, shape (N,): a part of a rejected
        box says nothing, and other boxes may be cut off completely.
    """
    height, width = size
    clipped = boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))
    visible = _areas(clipped) / np.maximum(_areas(boxes), np.finfo(np.float32).tiny)
    whole_image = np.isin(roles, WHOLE_IMAGE)
    cut = (visible < _LEAST_VISIBLE) & ~whole_image
    stays = whole_image | np.where(roles == Role.VERIFIED_NEGATIVE, ~cut, visible > 0)
    return clipped, np.where(cut, Role.IGNORE_REGION, roles), stays


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides.prod(axis=1))
