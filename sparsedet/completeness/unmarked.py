"""What it means if an image's boxes were judged but it was not marked as complete.

Where drawing can wait, reviewers mark an image if nothing is missing on it. So unmarked images hold
the missing objects, and more of them than was expected of each before. The share of marked images
among those with nothing missing shows whether reviewers mark images at all.
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
    """Those that were reviewed."""
    before: frozenset[int] = frozenset()
    """Those reviewed in earlier rounds."""
    unopened: frozenset[int] = frozenset()
    """Those judged on contact sheets in this round: nobody could mark them."""


NOWHERE = BoxesOnly()
"""People drew on every image."""


def marking_rate(
    expected: Mapping[int, float], judged: Collection[int], complete: Collection[int]
) -> float:
    """Return the chance that reviewers mark an image with nothing missing, 0 to 1.

    Args:
        expected: image id -> expected number of objects still missing.
        judged: ids of images whose boxes were judged.
        complete: ids of those that were marked.
    """
    finished = sum(math.exp(-expected[id]) for id in judged if id in expected)
    return min(len(complete) / finished, 1.0) if finished else 0.0


def with_unmarked(
    expected: ExpectedMissing, images: Collection[int], rate: float
) -> ExpectedMissing:
    """Return the expectation, given that these images were judged and not marked.

    Numbers of missing objects are Poisson. The model detects none of the extra objects.

    Args:
        expected: candidates' expectation for each image.
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
