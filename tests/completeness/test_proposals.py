"""Which detections are candidates, and which annotations calibrate them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.proposals import Proposals, propose
from sparsedet.completeness.selection import Selection
from sparsedet.mining.detections import Detections

IMAGES, EACH = 20, 2
DATA = Dataset(
    tuple(Image(id, f"{id}.png", 200, 100) for id in range(1, IMAGES + 1)),
    (),
    (Category(1, "cell"), Category(2, "clump")),
)


def boxes_on(*image_ids: int) -> tuple[Box, ...]:
    """Return two cells on each of these images."""
    places = [(id, 60.0 * column) for id in image_ids for column in range(EACH)]
    return tuple(
        Box(number, id, 1, (left, 0, left + 40, 40))
        for number, (id, left) in enumerate(places, start=1)
    )


def proposed(
    dataset: Dataset, *, found: Dataset | None = None, settled: Sequence[MinedBox] = ()
) -> Proposals:
    """Return the proposals of a model that was trained on no box of a dataset.

    It finds all of them, or those of `found`.
    """
    detections = []
    for image in dataset.images:
        own = (found or dataset).boxes_by_image[image.id]
        scores = np.full(len(own), 0.9)
        detections.append(
            Detections(
                image.id,
                np.array([box.xyxy for box in own], dtype=np.float64).reshape(-1, 4),
                scores,
                np.array([box.category_id for box in own], dtype=np.int64),
                scores,
            )
        )
    return propose(
        detections,
        dataset,
        hidden=frozenset(box.id for box in dataset.boxes),
        run_id="run",
        sure_scores={1: 0.5, 2: 0.5},
        selection=Selection(ReviewCosts()),
        settled=settled,
    )


def test_what_reviewers_left_undecided_is_no_candidate() -> None:
    both = replace(DATA, boxes=boxes_on(1, 2))
    annotated = replace(both, boxes=both.boxes[::2])
    # A little moved, and once of another class.
    undecided = [
        MinedBox("a", 1, 1, (62, 1, 101, 41), 0.9, 0.5),
        MinedBox("b", 2, 2, (60, 0, 100, 40), 0.9, 0.5),
    ]
    every, rest = (proposed(annotated, found=both, settled=boxes) for boxes in ((), undecided))
    assert [box.image_id for box in every.mined] == [1, 2]
    assert [box.image_id for box in rest.mined] == [2]
    assert len(rest.candidates) == len(every.candidates) - 1
    # Hidden annotations stay, even where a box on one was accepted.
    accepted = MinedBox("c", 1, 1, (0, 0, 40, 40), 0.9, 0.5)
    assert len(proposed(annotated, found=both, settled=[accepted]).candidates) == 4


@pytest.mark.parametrize("mark", ["image", "class"])
def test_annotations_held_out_on_complete_images_are_not_counted_as_undetected(mark: str) -> None:
    complete = range(IMAGES // 2 + 1, IMAGES + 1)
    marked = {"exhaustive": True} if mark == "image" else {"complete_classes": frozenset({1})}
    dataset = replace(
        DATA,
        images=tuple(
            replace(image, **marked) if image.id in complete else image for image in DATA.images
        ),
        boxes=boxes_on(*range(1, IMAGES + 1)),
    )
    found = proposed(dataset)
    on_open_images = EACH * (IMAGES - len(complete))
    assert found.fitted.hidden == on_open_images
    assert found.fitted.seen == (on_open_images + 1) / (on_open_images + 2)
