"""The anchors of torchvision's detectors, which their weights were trained with."""

from collections.abc import Sequence

import torch
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, DefaultAnchorGenerator
from torch import Tensor


@ANCHOR_GENERATOR_REGISTRY.register()
class TorchvisionAnchorGenerator(DefaultAnchorGenerator):
    """detectron2's anchors, with torchvision's differences:

    - edges are rounded to whole pixels;
    - anchors of a position are ordered by aspect ratio, then by size;
    - the step is the image's length over the map's, rounded down: slightly less than the stride
      for a map halved from one of odd length.
    """

    def generate_cell_anchors(
        self,
        sizes: Sequence[float] = (32, 64, 128, 256, 512),
        aspect_ratios: Sequence[float] = (0.5, 1, 2),
    ) -> Tensor:
        """Return the anchors around (0, 0), shape (ratios x sizes, 4), XYXY."""
        roots = torch.tensor(aspect_ratios, dtype=torch.float32).sqrt()
        lengths = torch.tensor(sizes, dtype=torch.float32)
        widths = ((1 / roots)[:, None] * lengths).flatten()
        heights = (roots[:, None] * lengths).flatten()
        return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()

    def _grid_anchors(self, grid_sizes: Sequence[Sequence[int]]) -> list[Tensor]:
        anchors = []
        first_rows, first_columns = grid_sizes[0]
        for (rows, columns), cells in zip(grid_sizes, self.cell_anchors, strict=True):
            down = step(first_rows, self.strides[0], rows)
            across = step(first_columns, self.strides[0], columns)
            y = (torch.arange(rows, device=cells.device) + self.offset) * down
            x = (torch.arange(columns, device=cells.device) + self.offset) * across
            y, x = (places.flatten() for places in torch.meshgrid(y, x, indexing="ij"))
            shifts = torch.stack((x, y, x, y), dim=1)
            anchors.append((shifts[:, None] + cells).reshape(-1, 4))
        return anchors


def step(first_length: int, first_stride: int, length: int) -> int:
    """Return the distance in pixels between neighbouring positions of a map.

    Args:
        first_length: length of the first map, whose stride divides the image's length.
        first_stride: its stride.
        length: length of the map in question.
    """
    return first_length * first_stride // length
