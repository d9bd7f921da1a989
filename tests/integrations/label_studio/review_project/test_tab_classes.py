"""Classes in the data of review tasks, read back for their tabs."""

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio.review_project.review_tabs import (
    CLASSES,
    classes_of,
    facts_of,
)
from sparsedet.push_modes import ToReview


@pytest.mark.parametrize("name", ["cat", "a | b", "| bar", "ratio 1: 2", "<b>", "a/b", "🍎", "Ä ö"])
def test_any_name_of_a_class_is_read_back(name: str) -> None:
    image = Image(1, "a.png", 100, 100, tool_id="t1")
    dataset = Dataset((image,), (), (Category(1, name), Category(2, "zebra")))
    boxes = [
        MinedBox(f"m{n}", 1, category, (0, 0, 9, 9), 0.9, 0.5)
        for n, category in enumerate((1, 1, 2))
    ]
    facts = facts_of(ToReview(dataset, boxes, "run-1"))["t1"]
    assert facts[CLASSES] in (f"| {name}: 2 | zebra: 1 |", f"| zebra: 1 | {name}: 2 |")
    assert sorted(classes_of(facts)) == sorted([name, "zebra"])
