"""A budget keeps the contact sheets on which review finds most."""

from collections import Counter

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.sheet_budget import within_budget
from sparsedet.sheets.arrangement import CROPS, arrange

COSTS = ReviewCosts(image=2.0, box=1.0, correction=0.0, undecided=0.0)
CAT, DOG = 1, 2
DATASET = Dataset(
    (Image(1, "a.png", 100, 100, tool_id="1"),), (), (Category(CAT, "cat"), Category(DOG, "dog"))
)


def boxes(category: int, *chances: float, estimated: bool = True) -> list[MinedBox]:
    """Return a mined box of each expected precision, or score if nothing is estimated."""
    return [
        MinedBox(
            f"{category}-{number:03d}",
            1,
            category,
            (10.0, 10.0, 40.0, 40.0),
            0.5 if estimated else chance,
            0.1,
            chance if estimated else None,
        )
        for number, chance in enumerate(chances)
    ]


def kept(given: list[MinedBox], budget: Budget) -> Counter[int]:
    return Counter(box.category_id for box in within_budget(given, DATASET, budget, COSTS))


@pytest.mark.parametrize("estimated", [True, False])
def test_the_surest_sheets_come_first(estimated: bool) -> None:
    cats = boxes(CAT, *[0.6] * CROPS, *[0.5] * CROPS, estimated=estimated)
    dogs = boxes(DOG, *[0.4] * CROPS, *[0.9] * CROPS, estimated=estimated)
    first = within_budget([*cats, *dogs], DATASET, Budget(images=1), COSTS)
    assert {box.region_id for box in first} == {box.region_id for box in dogs[CROPS:]}
    assert kept([*cats, *dogs], Budget(images=3)) == {CAT: 2 * CROPS, DOG: CROPS}
    assert len(arrange(first, DATASET)) == 1


def test_a_sheet_is_opened_even_for_a_single_box() -> None:
    """Which then takes three seconds, and the others little more than one each."""
    given = [*boxes(CAT, 0.9), *boxes(DOG, *[0.8] * CROPS)]
    assert kept(given, Budget(images=1)) == {DOG: CROPS}


def test_seconds_end_within_a_sheet_after_its_surest_boxes() -> None:
    given = boxes(CAT, 0.5, 0.9, 0.7)
    found = within_budget(given, DATASET, Budget(seconds=4.0), COSTS)
    assert [box.region_id for box in found] == ["1-001", "1-002"]
    assert within_budget(given, DATASET, Budget(seconds=2.9), COSTS) == []
    two = [*boxes(CAT, *[0.9] * CROPS), *boxes(DOG, *[0.8] * CROPS)]
    assert kept(two, Budget(seconds=2 + CROPS + 2.9)) == {CAT: CROPS}
    assert kept(two, Budget(seconds=2 + CROPS + 2 + 5.0)) == {CAT: CROPS, DOG: 5}


def test_a_large_budget_keeps_all() -> None:
    given = [*boxes(CAT, 0.9, 0.1), *boxes(DOG, 0.3)]
    assert kept(given, Budget(seconds=60.0)) == {CAT: 2, DOG: 1}
    assert within_budget([], DATASET, Budget(images=1), COSTS) == []
