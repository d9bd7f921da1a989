"""Queue order for the eye: similar images follow one another.

A person who has judged one image judges a similar one faster. Gain per second of review comes
first: images only swap with others nearby in the queue.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_NEAR = 24
"""Size of the groups within which images are reordered."""


def alike_together(
    image_ids: Sequence[int], embeddings: Mapping[int, Sequence[float]]
) -> list[int]:
    """Return a queue's images in an order in which neighbours look alike.

    Each group keeps its first image; after that, each image is followed by the most similar one
    left.

    Args:
        image_ids: in queue order.
        embeddings: image id -> `Detections.embedding`; images without one come last in their group.
    """
    order: list[int] = []
    for start in range(0, len(image_ids), _NEAR):
        group = image_ids[start : start + _NEAR]
        known = [id for id in group if id in embeddings]
        order += _chain(known, np.array([embeddings[id] for id in known]))
        order += [id for id in group if id not in embeddings]
    return order


def _chain(image_ids: Sequence[int], embeddings: NDArray[np.float64]) -> list[int]:
    """Return the images ordered greedily: each is followed by the most similar one left.

    Args:
        image_ids: the first one stays first.
        embeddings: their embeddings, shape (N, D).
    """
    if not image_ids:
        return []
    left = list(range(1, len(image_ids)))
    chain = [0]
    while left:
        distances = np.linalg.norm(embeddings[left] - embeddings[chain[-1]], axis=1)
        chain.append(left.pop(int(distances.argmin())))
    return [image_ids[row] for row in chain]
