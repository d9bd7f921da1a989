"""Names of the images that a pull leaves out."""

from collections.abc import Sequence

import pytest

from sparsedet.integrations.label_studio.left_out import listed


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([3], "task 3"),
        ([2, 1], "tasks 1, 2"),
        (range(1, 8), "tasks 1, 2, 3, 4, 5 and 2 more"),
        ([*range(1, 8), -1], "tasks 1, 2, 3, 4, 5 and 2 more, 1 without an id"),
        ([-1], "1 without an id"),
    ],
)
def test_of_many_tasks_the_first_are_named(images: Sequence[int], said: str) -> None:
    assert listed(images) == said
