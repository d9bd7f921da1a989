"""Image embeddings of a detector: features that it computes anyway, reduced to a few numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparsedet.mining.detections import EMBEDDING_SIZE


@contextmanager
def collected_embeddings(model: nn.Module) -> Iterator[list[NDArray[np.float64]]]:
    """Collect the embeddings of the images that go through a model's backbone, one by one.

    The mean of the coarsest feature map, at unit length, in a fixed random projection (Johnson and
    Lindenstrauss, 1984: distances are nearly preserved).

    Args:
        model: a model without a backbone leaves the list empty.
    """
    found: list[NDArray[np.float64]] = []
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        yield found
        return

    def keep(module: nn.Module, given: Any, features: dict[str, torch.Tensor]) -> None:
        coarsest = min(features.values(), key=lambda level: level.shape[-1] * level.shape[-2])
        mean = coarsest[0].float().mean(dim=(1, 2)).cpu().numpy().astype(np.float64)
        found.append(_projected(mean / max(float(np.linalg.norm(mean)), 1e-12)))

    handle = backbone.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def _projected(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.random.default_rng(len(vector)).standard_normal((EMBEDDING_SIZE, len(vector)))
    return np.asarray(matrix @ vector / EMBEDDING_SIZE**0.5)
