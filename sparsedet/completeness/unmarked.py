"""What it says that somebody judged an image's boxes and did not mark it as complete.

Where drawing can wait, reviewers mark an image if nothing is missing on it. So those that are left
without a mark hold what is missing, and more of it than was expected of each before. How many are
marked of those on which nothing should be missing tells whether reviewers mark images at all.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sparsedet.completeness.expected_missing import ExpectedMissing


@dataclass(frozen=True, slots=True)
class BoxesOnly:
    """Ids of images on which people were not asked to draw."""

    asked: frozenset[int] = frozenset()
    """In this round."""
    judged: frozenset[int] = frozenset()
    """Those of them that were reviewed."""
    before: frozenset[int] = frozenset()
    """Reviewed so in earlier rounds."""
    unopened: frozenset[int] = frozenset()
    """Those whose boxes were judged on contact sheets in this round: nobody could mark them."""


NOWHERE = BoxesOnly()
"""People drew on every image."""


def marking_rate(
    expected: Mapping[int, float], judged: Collection[int], complete: Collection[int]
) -> float:
    """Return the chance that reviewers mark an image on which nothing is missing, 0 to 1.

    Args:
        expected: image id -> number of objects that were expected to be missing still.
        judged: ids of the images whose boxes were judged.
        complete: ids of those of them that were marked.
    """
    finished = sum(math.exp(-expected[id]) for id in judged if id in expected)
    return min(len(complete) / finished, 1.0) if finished else 0.0


def with_unmarked(
    expected: ExpectedMissing, images: Collection[int], rate: float
) -> ExpectedMissing:
    """Return what is expected, given that these images were judged and not marked.

    Numbers of missing objects are Poisson. What comes on top is nothing the model sees.

    Args:
        expected: what is missing on each image by the candidates.
        images: their ids.
        rate: see `marking_rate`.
    """
    unseen = dict(expected.unseen)
    for id in images:
        mean = expected.by_image.get(id, 0.0)
        marked = rate * math.exp(-mean)
        if mean > 0 and marked < 1:
            unseen[id] += mean / (1 - marked) - mean
    return replace(expected, unseen=unseen)
