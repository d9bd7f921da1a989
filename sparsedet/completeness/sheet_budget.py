"""Which boxes are on contact sheets if a budget limits these."""

from collections.abc import Collection, Sequence

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.sheets.arrangement import CROPS, arrange


def within_budget(
    boxes: Collection[MinedBox], dataset: Dataset, budget: Budget, costs: ReviewCosts
) -> list[MinedBox]:
    """Return the boxes to judge on contact sheets.

    The sheets where review finds most objects per second come first. A budget in seconds may end
    within a sheet, after its surest boxes.

    Args:
        boxes: of images of `dataset`.
        dataset: pulled from an annotation tool.
        budget: seconds, or number of sheets.
        costs: review costs.
    """
    by_id = {box.region_id: box for box in boxes}
    sheets = [
        _Sheet([by_id[crop.region_id] for crop in sheet.crops], costs)
        for sheet in arrange(boxes, dataset)
    ]
    sheets.sort(key=lambda sheet: -sheet.rate)
    kept: list[MinedBox] = []
    spent = 0.0
    for number, sheet in enumerate(sheets, start=1):
        for box, seconds in zip(sheet.boxes, sheet.seconds, strict=True):
            if not budget.allows(spent + seconds, number):
                return kept
            kept.append(box)
        spent += sheet.seconds[-1]
    return kept


class _Sheet:
    """A sheet's boxes, and its review.

    Attributes:
        boxes: in order.
        seconds: expected time after each box.
        rate: objects found per second.
    """

    def __init__(self, boxes: Sequence[MinedBox], costs: ReviewCosts) -> None:
        chances = np.array(
            [b.score if b.expected_precision is None else b.expected_precision for b in boxes]
        )
        on_objects = np.maximum(chances, [box.object_chance or 0.0 for box in boxes])
        corrections = np.cumsum(costs.corrections(chances, on_objects)).tolist()
        self.boxes = boxes
        self.seconds = [
            # A sheet with few crops is opened, too.
            costs.image * (1 - count / CROPS) + costs.seconds_on_sheets(count, corrected)
            for count, corrected in enumerate(corrections, start=1)
        ]
        self.rate = float(on_objects.sum()) / max(self.seconds[-1], 1e-9)
