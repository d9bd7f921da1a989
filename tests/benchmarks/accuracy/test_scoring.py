"""Missing labels: detections on them don't count, and mined boxes on them count separately."""

import numpy as np
import pytest

from benchmarks.accuracy.scoring import MinedQuality, evaluate_ignoring, quality
from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.mining.detections import Detections
from sparsedet.training.evaluation.average_precision import evaluate

FIRST: XYXY = (0, 0, 100, 100)
UNLABELLED: XYXY = (200, 200, 300, 300)
# IoU with UNLABELLED: 60 x 100 / 10,000 = 0.6.
LOOSE: XYXY = (200, 200, 260, 300)
# IoU 0.25, and wholly inside of it.
INSIDE: XYXY = (200, 200, 250, 250)


@pytest.mark.parametrize(
    ("found", "as_published", "ignoring"),
    [
        # Precision 1/2 at every recall; without the first detection 1.
        ([(UNLABELLED, 1, 0.95), (FIRST, 1, 0.9)], 50.0, 100.0),
        # The second detection of the same object is as wrong as that of a labelled one.
        ([(UNLABELLED, 1, 0.95), (UNLABELLED, 1, 0.93), (FIRST, 1, 0.9)], 100 / 3, 50.0),
        # Ignored at the IoU thresholds 0.50, 0.55 and 0.60, wrong at the other seven.
        ([(LOOSE, 1, 0.95), (FIRST, 1, 0.9)], 50.0, (3 * 100 + 7 * 50) / 10),
        # A crowd region would take it.
        ([(INSIDE, 1, 0.95), (FIRST, 1, 0.9)], 50.0, 50.0),
        # Not missed.
        ([(FIRST, 1, 0.9)], 100.0, 100.0),
        # Of another class: wrong for that one, which has a label nobody found.
        ([(UNLABELLED, 2, 0.95), (FIRST, 1, 0.9)], 100.0, 100.0),
    ],
)
def test_detections_on_unlabelled_objects_do_not_count(
    found: list[tuple[XYXY, int, float]], as_published: float, ignoring: float
) -> None:
    images = (Image(1, "a.png", 640, 480),)
    categories = (Category(1, "cat"), Category(2, "dog"))
    dataset = Dataset(images, (Box(1, 1, 1, FIRST),), categories)
    boxes, classes, scores = (np.array(column) for column in zip(*found, strict=True))
    detections = [Detections(1, boxes.astype(np.float64), scores, classes, scores)]
    assert evaluate(detections, dataset).ap == pytest.approx(as_published)
    result = evaluate_ignoring(detections, dataset, [Box(1, 1, 1, UNLABELLED)])
    assert result.ap == pytest.approx(ignoring)
    assert result.annotations == 1


def test_nor_do_they_in_pascal_voc_s_figures() -> None:
    boxes, scores = np.array([UNLABELLED, FIRST], dtype=float), np.array([0.95, 0.9])
    dataset = Dataset((Image(1, "a.png", 640, 480),), (Box(1, 1, 1, FIRST),), (Category(1, "cat"),))
    detections = [Detections(1, boxes, scores, np.array([1, 1]), scores)]
    assert evaluate(detections, dataset).voc_ap50_area == pytest.approx(50)
    result = evaluate_ignoring(detections, dataset, [Box(1, 1, 1, UNLABELLED)])
    assert result.voc_ap50_area == pytest.approx(100)


def test_a_label_goes_before_an_unlabelled_object() -> None:
    dataset = Dataset((Image(1, "a.png", 640, 480),), (Box(1, 1, 1, LOOSE),), (Category(1, "cat"),))
    score = np.array([0.9])
    detections = [Detections(1, np.array([UNLABELLED], dtype=float), score, np.array([1]), score)]
    # Right at the three thresholds that its IoU 0.6 with the label reaches, though the unlabelled
    # object fits better.
    result = evaluate_ignoring(detections, dataset, [Box(1, 1, 1, UNLABELLED)])
    assert result.ap == pytest.approx(30)


def test_mined_boxes_are_classified_by_what_they_lie_on() -> None:
    removed = [Box(1, 1, 1, FIRST), Box(2, 1, 2, UNLABELLED), Box(3, 2, 1, FIRST)]
    mined = [
        Box(1, 1, 1, FIRST),  # the class too
        Box(2, 1, 1, UNLABELLED),  # another class
        Box(3, 1, 1, FIRST),  # a second time
        Box(4, 1, 2, INSIDE),  # not enough of it
        Box(5, 3, 1, FIRST),  # no such object, but one without a label
        Box(6, 3, 2, UNLABELLED),  # the same, of another class
    ]
    unlabelled = [Box(1, 3, 1, FIRST), Box(2, 3, 1, UNLABELLED)]
    assert quality(mined, removed, unlabelled) == MinedQuality(
        boxes=6, on_removed=2, right_class=1, on_unlabelled=1
    )
    assert quality(mined[:2], removed, []) == MinedQuality(
        boxes=2, on_removed=2, right_class=1, on_unlabelled=None
    )
    assert quality([], removed, unlabelled).boxes == 0
