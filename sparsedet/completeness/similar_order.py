"""The order of a queue for the eye: images that look alike follow one another.

Who has judged one image of a kind judges the next one faster. What is found per second of
review decides first: images are only exchanged with others near them in the queue.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_NEAR = 24
"""Images are exchanged within groups of so many."""


def alike_together(image_ids: Sequence[int], looks: Mapping[int, Sequence[float]]) -> list[int]:
    """Return the images of a queue in an order in which neighbours look alike.

    In each group the first one stays first, and the most similar of the others follows each.

    Args:
        image_ids: in the order of the queue.
        looks: image id -> what the image looks like, see `Detections.look`; images that it lacks
            come last in their group.
    """
    order: list[int] = []
    for start in range(0, len(image_ids), _NEAR):
        group = image_ids[start : start + _NEAR]
        known = [id for id in group if id in looks]
        order += _chain(known, np.array([looks[id] for id in known]))
        order += [id for id in group if id not in looks]
    return order


def _chain(image_ids: Sequence[int], looks: NDArray[np.float64]) -> list[int]:
    """Return the images so that each is the most similar to the one before of those that are left.

    Args:
        image_ids: the first one stays first.
        looks: of each, shape (N, D).
    """
    if not image_ids:
        return []
    left = list(range(1, len(image_ids)))
    chain = [0]
    while left:
        distances = np.linalg.norm(looks[left] - looks[chain[-1]], axis=1)
        chain.append(left.pop(int(distances.argmin())))
    return [image_ids[row] for row in chain]
