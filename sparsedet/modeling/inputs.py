"""From a decoded image to what the network is fed: size, colour order, layout."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UInt8Image = NDArray[np.uint8]
"""Shape (H, W, 3)."""


def network_size(height: int, width: int, short_side: int, max_size: int) -> tuple[int, int]:
    """Return (height, width) with the shorter side `short_side`, the longer at most `max_size`."""
    scale = min(short_side / min(height, width), max_size / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: UInt8Image, height: int, width: int) -> UInt8Image:
    """Resize; areas are averaged when the image shrinks, which keeps thin things visible."""
    shrinks = height < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def to_tensor(image: UInt8Image, colour_order: str) -> Tensor:
    """Return a BGR image as uint8 tensor of shape (3, H, W) in `colour_order` (RGB or BGR)."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    ordered = planes[::-1] if colour_order == "RGB" else planes
    cv2.split(image, list(ordered))
    return torch.from_numpy(planes)


def inference_size(height: int, width: int, cfg: Any) -> tuple[int, int]:
    """Return (height, width) at which an image goes through the network at test."""
    return network_size(height, width, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)


def inference_input(image: UInt8Image, cfg: Any) -> dict[str, Any]:
    """Return detectron2's input for one BGR image; detections come back in its own pixels."""
    height, width = image.shape[:2]
    return resized_input(resize(image, *inference_size(height, width, cfg)), height, width, cfg)


def resized_input(resized: UInt8Image, height: int, width: int, cfg: Any) -> dict[str, Any]:
    """Return the input for a BGR image of `height` and `width` that has been resized already."""
    return {"image": to_tensor(resized, cfg.INPUT.FORMAT), "height": height, "width": width}
