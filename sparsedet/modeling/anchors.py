"""The anchors of torchvision's detectors, which their weights were trained with."""

from collections.abc import Sequence

import torch
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY, DefaultAnchorGenerator
from torch import Tensor


@ANCHOR_GENERATOR_REGISTRY.register()
class TorchvisionAnchorGenerator(DefaultAnchorGenerator):
    """detectron2's anchors, except that, as torchvision has it,

    - their edges are rounded to whole pixels;
    - those of a place are in the order of aspect ratios, and of sizes within a ratio;
    - their step is the image's length over the map's, rounded down: of a map that an odd one was
      halved to it is a bit less than the stride.
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
    """Return the pixels between neighbouring places of a map.

    Args:
        first_length: of the first map, whose stride divides the image's length.
        first_stride: its stride.
        length: of the map in question.
    """
    return first_length * first_stride // length
