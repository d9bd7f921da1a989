"""Parsing of review budgets."""

import pytest

from sparsedet.completeness.budget import Budget, parse_budget
from sparsedet.errors import SparseDetError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("90s", Budget(seconds=90.0)),
        ("30min", Budget(seconds=1800.0)),
        ("1.5h", Budget(seconds=5400.0)),
        (" 2 h ", Budget(seconds=7200.0)),
        ("0.5s", Budget(seconds=0.5)),
        ("200-images", Budget(images=200)),
        ("1-image", Budget(images=1)),
    ],
)
def test_a_time_or_a_number_of_images(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text",
    [
        "", "30", "min", "-5min", "1,5h", "1e3s", "0s", "0.0h", "0-images", "1.5-images", "3 days",
        "30min 5s", "nan", "infs", f"{'9' * 400}h",
    ],
)  # fmt: skip
def test_anything_else_is_one_clear_line(text: str) -> None:
    with pytest.raises(SparseDetError) as refused:
        parse_budget(text)
    assert str(refused.value) == (
        f"budget {text!r}: expected a time or a number of images above 0, such as 90s, 30min, "
        "1.5h or 200-images"
    )


def test_what_is_left_is_never_less_than_nothing() -> None:
    assert Budget(seconds=90.0).less(60.5, 3) == Budget(seconds=29.5)
    assert Budget(seconds=90.0).less(100.0, 3) == Budget(seconds=0.0)
    assert Budget(images=5).less(60.5, 3) == Budget(images=2)
    assert Budget(images=5).less(60.5, 9) == Budget(images=0)
    assert Budget().less(1.0, 1) == Budget()
