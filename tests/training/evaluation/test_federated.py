"""Federated average precision: against lvis-api's figures, and against cases computed by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.coco import from_coco
from sparsedet.mining.detections import Detections
from sparsedet.training.evaluation.average_precision import Evaluation, evaluate
from sparsedet.training.evaluation.federated import Federation
from tests.training.evaluation.lvis_cases import CASES, FIGURES, lvis_case

CAT, DOG = 3, 7
PLACE: XYXY = (0, 0, 50, 50)
OTHER: XYXY = (100, 100, 150, 150)
"""No object is known there."""


def detections_of(results: list[Any], dataset: Dataset) -> list[Detections]:
    found = []
    for image in dataset.images:
        own = [entry for entry in results if entry["image_id"] == image.id]
        xywh = np.array([entry["bbox"] for entry in own], dtype=float).reshape(-1, 4)
        boxes = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        scores = np.array([entry["score"] for entry in own], dtype=float)
        classes = np.array([entry["category_id"] for entry in own], dtype=np.int64)
        found.append(Detections(image.id, boxes, scores, classes, scores))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_of_lvis_api(name: str) -> None:
    truth, results = lvis_case(*CASES[name])
    dataset = from_coco(truth, source=name)
    result = evaluate(detections_of(results, dataset), dataset)
    figures = {"AP": result.ap, "AP50": result.ap50, "AP75": result.ap75}
    assert figures == pytest.approx({key: FIGURES[name][key] for key in figures}, abs=1e-5)
    of_lvis = {key: np.nan if v is None else v for key, v in FIGURES[name]["per_class"].items()}
    assert result.per_class == pytest.approx(of_lvis, abs=1e-5, nan_ok=True)


def measured(*images: Image) -> Evaluation:
    """Measure a cat on image 1 that is found second, after a cat that nobody knows on the last."""
    boxes = (Box(1, 1, CAT, PLACE), Box(2, 2, DOG, PLACE))
    classes = (Category(CAT, "cat"), Category(DOG, "dog"))
    dataset = Dataset((FIRST, SECOND), boxes, classes).with_images(images)
    last = images[-1].id
    entries = [(1, PLACE, CAT, 0.8), (2, PLACE, DOG, 0.7), (last, OTHER, CAT, 0.9)]
    found = []
    for image in images:
        own = [entry for entry in entries if entry[0] == image.id]
        scores = np.array([score for *_, score in own], dtype=float)
        found.append(
            Detections(
                image.id,
                np.array([box for _, box, _, _ in own], dtype=float).reshape(-1, 4),
                scores,
                np.array([category for _, _, category, _ in own], dtype=np.int64),
                scores,
            )
        )
    return evaluate(found, dataset)


FIRST, SECOND = Image(1, "a.png", 200, 200), Image(2, "b.png", 200, 200)


def only(image: Image, *classes: int) -> Image:
    return replace(image, complete_classes=frozenset(classes))


@pytest.mark.parametrize(
    ("images", "cat"),
    [
        # Without marks every detection counts, as in fully labelled data: precision 1/2.
        ((FIRST, SECOND), 50.0),
        # Complete in other classes: there may be a cat.
        ((only(FIRST, CAT), only(SECOND, DOG)), 100.0),
        # Cats are absent there.
        ((only(FIRST, CAT), only(SECOND, CAT)), 50.0),
        # Cats are absent, since the image is complete.
        ((only(FIRST, CAT), replace(SECOND, exhaustive=True)), 50.0),
        # Not a word of cats: the one that is known is found, and nothing can be wrong.
        ((only(FIRST, DOG), only(SECOND, DOG)), 100.0),
    ],
)
def test_a_class_is_measured_where_it_is_complete(images: tuple[Image, Image], cat: float) -> None:
    result = measured(*images)
    assert result.per_class == pytest.approx({"cat": cat, "dog": 100.0})
    assert result.voc_ap50_area == pytest.approx((cat + 100) / 2)
    assert result.voc_ap50_11point == pytest.approx((cat + 100) / 2)


def test_on_an_image_that_is_not_complete_boxes_are_found_and_nothing_else_counts() -> None:
    """The cat's own image may have more of them: what was found there first is not wrong."""
    part = measured(only(FIRST, DOG))
    assert part.per_class["cat"] == pytest.approx(100.0)
    assert measured(only(FIRST, CAT)).per_class["cat"] == pytest.approx(50.0)


def test_data_that_is_complete_in_all_classes_is_measured_as_fully_labelled_data() -> None:
    full = measured(only(FIRST, CAT, DOG), replace(SECOND, exhaustive=True))
    assert full == measured(FIRST, SECOND)
    assert "federated" not in full.as_json()


def test_an_evaluation_says_what_it_is_measured_over() -> None:
    result = measured(only(FIRST, DOG), only(SECOND, DOG))
    assert result.federated == Federation(complete=1, absent=1, incomplete=1, nowhere=("cat",))
    assert result.as_json()["federated"] == {
        "complete": 1,
        "absent": 1,
        "incomplete": 1,
        "complete_nowhere": ["cat"],
    }
