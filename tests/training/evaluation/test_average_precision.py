"""Average precision against cases computed by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, read_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.atomic_io import write_json
from sparsedet.errors import AnnotationError
from sparsedet.mining.detections import Detections
from sparsedet.training.evaluation.average_precision import evaluate, warn_of_crowds

CAT, DOG, BIRD = 3, 7, 9
FIRST: XYXY = (0, 0, 100, 100)
SECOND: XYXY = (200, 200, 300, 300)
# IoU with FIRST: 60 x 100 / 10,000 = 0.6, so it counts at 0.50, 0.55 and 0.60 only.
LOOSE: XYXY = (0, 0, 60, 100)


def dataset(*boxes: Box) -> Dataset:
    categories = (Category(CAT, "cat"), Category(DOG, "dog"), Category(BIRD, "bird"))
    return Dataset((Image(1, "a.png", 640, 480), Image(2, "b.png", 640, 480)), boxes, categories)


def found(*entries: tuple[XYXY, int, float]) -> list[Detections]:
    boxes, classes, scores = zip(*entries, strict=True) if entries else ((), (), ())
    first = Detections(
        1,
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(scores, dtype=np.float64),
        np.array(classes, dtype=np.int64),
        np.array(scores, dtype=np.float64),
    )
    return [first, replace(first.select(np.zeros(len(scores), dtype=bool)), image_id=2)]


TRUTH = dataset(Box(1, 1, CAT, FIRST), Box(2, 1, CAT, SECOND), Box(3, 2, DOG, FIRST))


@pytest.mark.parametrize(
    ("detections", "ap", "ap50", "ap75"),
    [
        # Both cats found, no dog: the mean over two classes with annotations.
        ([(FIRST, CAT, 0.9), (SECOND, CAT, 0.8)], 50.0, 50.0, 50.0),
        # One of two cats: precision 1 up to recall 0.5, which are 51 of the 101 points.
        ([(FIRST, CAT, 0.9)], 50 * 51 / 101, 50 * 51 / 101, 50 * 51 / 101),
        # The same, right at three of the ten thresholds.
        ([(LOOSE, CAT, 0.9)], 15 * 51 / 101, 50 * 51 / 101, 0.0),
        # A false detection first halves the precision.
        ([(FIRST, DOG, 0.95), (SECOND, DOG, 0.9)], 0.0, 0.0, 0.0),
        ([((400, 400, 450, 450), CAT, 0.95), (FIRST, CAT, 0.9)], 12.62, 12.62, 12.62),
        ([], 0.0, 0.0, 0.0),
    ],
)
def test_average_precision(
    detections: list[tuple[XYXY, int, float]], ap: float, ap50: float, ap75: float
) -> None:
    result = evaluate(found(*detections), TRUTH)
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((ap, ap50, ap75), abs=0.01)


def test_classes_without_annotations_have_no_figure() -> None:
    result = evaluate(found((FIRST, CAT, 0.9), (SECOND, CAT, 0.8)), TRUTH).as_json()
    assert result["per_class"] == {"cat": 100.0, "dog": 0.0, "bird": None}
    assert (result["images"], result["annotations"]) == (2, 3)


def test_an_annotation_of_id_zero_counts_as_found() -> None:
    zero_based = dataset(Box(0, 1, CAT, FIRST), Box(1, 1, CAT, SECOND))
    assert evaluate(found((FIRST, CAT, 0.9), (SECOND, CAT, 0.8)), zero_based).ap == pytest.approx(
        100
    )


def test_an_area_of_null_is_that_of_the_box(tmp_path: Path) -> None:
    entry = {"id": 1, "image_id": 1, "category_id": CAT, "bbox": [0, 0, 100, 100], "iscrowd": 0}
    content = {**to_coco(dataset()), "annotations": [{**entry, "area": None}]}
    write_json(tmp_path / "null.json", content)
    truth = read_coco(tmp_path / "null.json")
    assert to_coco(truth)["annotations"][0]["area"] == 10_000
    assert evaluate(found((FIRST, CAT, 0.9)), truth).ap == pytest.approx(100)


def test_more_objects_than_coco_counts_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    places: list[XYXY] = [(3.0 * n, 0.0, 3.0 * n + 2, 2.0) for n in range(101)]
    boxes = [Box(n, 1, CAT, xyxy) for n, xyxy in enumerate(places, start=1)]
    warn_of_crowds(dataset(*boxes[:100], Box(200, 1, DOG, FIRST), Box(201, 2, CAT, FIRST)))
    assert not caplog.messages
    crowd = dataset(*boxes)
    assert evaluate(found(*((xyxy, CAT, 0.9) for xyxy in places)), crowd).ap < 100
    warn_of_crowds(crowd)
    assert caplog.messages == [
        "images with more than 100 objects of a class: 1; COCO's AP counts only that many "
        "detections of a class on an image, and misses the other objects"
    ]


def test_crowd_regions_are_neither_missed_nor_wrong() -> None:
    crowd = dataset(Box(1, 1, CAT, FIRST), Box(2, 1, CAT, SECOND, iscrowd=True))
    result = evaluate(found((FIRST, CAT, 0.5), (SECOND, CAT, 0.9)), crowd)
    assert result.ap == pytest.approx(100)
    assert result.annotations == 1


@pytest.mark.parametrize("boxes", [[], [Box(1, 1, CAT, FIRST, iscrowd=True)]])
def test_nothing_to_evaluate_against(boxes: list[Box]) -> None:
    with pytest.raises(AnnotationError, match="no annotations"):
        evaluate(found(), dataset(*boxes))
