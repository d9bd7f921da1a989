"""What an earlier model let expect, in a project that has grown since."""

from dataclasses import replace

import pytest

from sparsedet.annotations import Box, Category, Dataset
from sparsedet.completeness.assessment import assess
from sparsedet.completeness.candidate_file import CandidateFile
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.expected_precision import EarlierRounds
from sparsedet.completeness.growth import with_growth
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.selection import Selection
from tests.completeness.scenes import scene

GROWN = scene(images=400, wrong=5.0)
OLD = 80
"""Images before it grew."""
EARLIER = Count(sum(GROWN.missing[id] for id in range(1, OLD + 1)), 0.2)


def first_images(dataset: Dataset, count: int) -> Dataset:
    return dataset.with_images(image for image in dataset.images if image.id <= count)


def test_new_images_are_not_complete_because_others_nearly_are() -> None:
    missing = with_growth(EARLIER, first_images(GROWN.dataset, OLD), GROWN.dataset)
    content = CandidateFile("run", GROWN.candidates, GROWN.hidden, EarlierRounds(missing=missing))
    found = assess(
        content,
        GROWN.dataset,
        GROWN.dataset,
        outcomes={},
        audit=(),
        selection=Selection(ReviewCosts()),
    )
    low, high = found.completeness.missing_low, found.completeness.missing_high
    assert low < sum(GROWN.missing.values()) < high


def test_without_growth_nothing_changes() -> None:
    before = first_images(GROWN.dataset, OLD)
    assert with_growth(EARLIER, before, before) == EARLIER
    assert with_growth(EARLIER, GROWN.dataset, before) == EARLIER
    assert with_growth(None, before, GROWN.dataset) is None
    complete = replace(
        GROWN.dataset,
        images=tuple(replace(i, exhaustive=i.id > OLD) for i in GROWN.dataset.images),
    )
    assert with_growth(EARLIER, before, complete) == EARLIER


def test_few_new_images_change_little() -> None:
    before = first_images(GROWN.dataset, OLD)
    more = with_growth(EARLIER, before, first_images(GROWN.dataset, OLD + 2))
    assert more is not None
    assert more.mean == pytest.approx(EARLIER.mean, rel=0.05)
    assert more.spread == pytest.approx(EARLIER.spread, rel=0.05)


def test_what_new_images_lack_is_as_uncertain_as_it_is_much() -> None:
    more = with_growth(EARLIER, first_images(GROWN.dataset, OLD), GROWN.dataset)
    assert more is not None
    assert more.spread * more.mean >= more.mean - EARLIER.mean > EARLIER.mean


def test_a_new_class_may_lack_as_much_as_it_has() -> None:
    before = first_images(GROWN.dataset, OLD)
    drawn = tuple(Box(10_000 + n, n, 2, (0, 0, 9, 9)) for n in range(1, 31))
    now = replace(
        before, boxes=(*before.boxes, *drawn), categories=(*before.categories, Category(2, "clump"))
    )
    more = with_growth(EARLIER, before, now)
    assert more is not None
    assert more.mean == EARLIER.mean + 30
    assert more.spread > 30 / more.mean
