"""Metrics that select a checkpoint: recall and AP, computed by hand."""

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError
from sparsedet.mining.detections import Detections
from sparsedet.training.engine.best_checkpoint import DETECTIONS, recall_at, validate

CAT, DOG = 3, 7
FIRST: XYXY = (0, 0, 100, 100)
SECOND: XYXY = (200, 200, 300, 300)
NOTHING: XYXY = (400, 300, 450, 350)
# IoU with FIRST: 60 x 100 / 10,000.
LOOSE: XYXY = (0, 0, 60, 100)

Entry = tuple[XYXY, int, float]


def dataset(*boxes: Box, exhaustive: frozenset[int] = frozenset()) -> Dataset:
    images = [Image(n, f"{n}.png", 640, 480, exhaustive=n in exhaustive) for n in (1, 2)]
    return Dataset(tuple(images), boxes, (Category(CAT, "cat"), Category(DOG, "dog")))


def on(image: int, *entries: Entry) -> Detections:
    boxes = np.array([box for box, _, _ in entries], dtype=float).reshape(-1, 4)
    classes = np.array([category for _, category, _ in entries], dtype=np.int64)
    scores = np.array([score for _, _, score in entries])
    return Detections(image, boxes, scores, classes, scores)


def measured(found: list[Detections], data: Dataset, limit: int = DETECTIONS) -> tuple[str, float]:
    name, value = validate(found, data, limit=limit)
    return name, round(value, 6)


SPARSE = dataset(Box(1, 1, CAT, FIRST), Box(2, 1, DOG, SECOND), Box(3, 2, CAT, FIRST))


@pytest.mark.parametrize(
    ("first", "limit", "iou", "found"),
    [
        ([], 100, 0.5, 0),
        ([(FIRST, CAT, 0.9)], 100, 0.5, 1),
        ([(FIRST, CAT, 0.9), (SECOND, DOG, 0.1)], 100, 0.5, 2),
        # Detections of something without annotation don't count against the others,
        ([(NOTHING, CAT, 0.95), (FIRST, CAT, 0.9), (SECOND, DOG, 0.1)], 100, 0.5, 2),
        # but take places, whatever their class; the order is that of the scores.
        ([(SECOND, DOG, 0.1), (NOTHING, CAT, 0.95), (FIRST, CAT, 0.9)], 2, 0.5, 1),
        ([(SECOND, DOG, 0.1), (NOTHING, CAT, 0.95), (FIRST, CAT, 0.9)], 1, 0.5, 0),
        # One detection, one annotation.
        ([(FIRST, CAT, 0.9), (LOOSE, CAT, 0.8)], 100, 0.5, 1),
        ([(LOOSE, CAT, 0.9)], 100, 0.6, 1),
        ([(LOOSE, CAT, 0.9)], 100, 0.61, 0),
        # Of another class.
        ([(FIRST, DOG, 0.9), (SECOND, CAT, 0.9)], 100, 0.5, 0),
    ],
)
def test_recall(first: list[Entry], limit: int, iou: float, found: int) -> None:
    value = recall_at([on(1, *first)], SPARSE, limit=limit, iou=iou)
    assert value == pytest.approx(100 * found / 3)
    both = [on(2, (FIRST, CAT, 0.3)), on(1, *first)]
    assert recall_at(both, SPARSE, limit=limit, iou=iou) == pytest.approx(100 * (found + 1) / 3)


def test_two_annotations_of_a_class_take_a_detection_each() -> None:
    """The better one takes FIRST, which it overlaps most; LOOSE is left for the other: 0.6."""
    close = dataset(Box(1, 1, CAT, FIRST), Box(2, 1, CAT, LOOSE))
    detections = [on(1, (FIRST, CAT, 0.9), (FIRST, CAT, 0.8))]
    assert recall_at(detections, close, limit=2) == 100
    assert recall_at(detections, close, limit=1) == 50


def test_crowd_regions_are_not_asked_for() -> None:
    crowd = dataset(Box(1, 1, CAT, FIRST), Box(2, 1, CAT, SECOND, iscrowd=True))
    assert recall_at([on(1, (SECOND, CAT, 0.9))], crowd, limit=100) == 0
    assert recall_at([on(1, (FIRST, CAT, 0.9))], crowd, limit=100) == 100


def test_without_exhaustive_images_it_is_recall() -> None:
    found = [on(1, (NOTHING, CAT, 0.95), (FIRST, CAT, 0.9)), on(2, (FIRST, CAT, 0.8))]
    assert measured(found, SPARSE) == ("recall@100", round(100 * 2 / 3, 6))
    assert measured(found, SPARSE, limit=1) == ("recall@1", round(100 / 3, 6))


def test_with_exhaustive_images_it_is_the_ap_on_these() -> None:
    """On image 1 alone: precision 1/2 at every recall of the cat; the dog is missed: 0."""
    partly = dataset(*SPARSE.boxes, exhaustive=frozenset({1}))
    found = [on(1, (NOTHING, CAT, 0.95), (FIRST, CAT, 0.9)), on(2, (NOTHING, DOG, 0.99))]
    assert measured(found, partly) == ("AP", round((50 + 0) / 2, 6))


def test_an_exhaustive_image_without_objects_has_no_ap() -> None:
    empty = dataset(Box(1, 1, CAT, FIRST), exhaustive=frozenset({2}))
    assert measured([on(1, (FIRST, CAT, 0.9)), on(2)], empty) == ("recall@100", 100.0)


@pytest.mark.parametrize("boxes", [[], [Box(1, 1, CAT, FIRST, iscrowd=True)]])
def test_nothing_to_find(boxes: list[Box]) -> None:
    with pytest.raises(AnnotationError, match="no annotations"):
        validate([on(1, (FIRST, CAT, 0.9))], dataset(*boxes))
