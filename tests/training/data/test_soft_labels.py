"""Soft labels: weighted by expected precision, confirmed by the looks of annotated objects."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.mining.detections import Detections
from sparsedet.modeling.targets import Role
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.data.resemblance import FeaturesOf, Rated, without_unlike
from sparsedet.training.data.samples import training_images
from sparsedet.training.data.soft_labels import soft_labels
from sparsedet.training.engine.pseudo_labelling import find_pseudo_labels
from tests.training.short_runs import short_config

KING, QUEEN = 3, 5
NAMES = (Category(KING, "king"), Category(QUEEN, "queen"))


def place(number: int) -> tuple[float, float, float, float]:
    return (30.0 * number, 10.0, 30.0 * number + 20, 40.0)


def detections(*found: tuple[int, int, float, float], image: int = 1) -> Detections:
    """Detections from place, class, score and object score."""
    places, classes, scores, object_scores = zip(*found, strict=True)
    return Detections(
        image,
        np.array([place(number) for number in places]),
        np.array(scores),
        np.array(classes),
        np.array(object_scores),
    )


def dataset(*boxes: Box) -> Dataset:
    images = tuple(Image(number, f"{number}.png", 640, 480) for number in (1, 2))
    return Dataset(images, boxes, NAMES)


def labels_of(found: Detections, data: Dataset, *more: FeaturesOf) -> PseudoLabels:
    return soft_labels(Rated.of([found], data), data, *more)


def test_the_more_certain_a_detection_the_more_its_label_weighs() -> None:
    annotated = Box(1, 1, KING, place(0))
    found = detections(
        (0, KING, 0.99, 0.99), (1, KING, 0.95, 0.96), (2, KING, 0.6, 0.62), (3, KING, 0.02, 0.03)
    )
    result = labels_of(found, dataset(annotated))
    # The annotated object needs no other label, and the last detection is none.
    assert [box.xyxy for box in result.labels] == [place(1), place(2)]
    assert 0.1 < result.weights[1] < result.weights[0] < 1
    assert result.expected == pytest.approx(sum(result.weights))
    assert [box.id for box in result.labels] == [1, 2]
    assert not result.ignored


def test_where_the_class_is_in_doubt_an_object_is_ignored() -> None:
    result = labels_of(detections((1, KING, 0.4, 0.97)), dataset())
    assert not result.labels
    assert [box.xyxy for box in result.ignored] == [place(1)]


def test_an_object_has_one_label_of_its_most_likely_class() -> None:
    found = detections((1, KING, 0.2, 0.95), (1, QUEEN, 0.7, 0.95))
    result = labels_of(found, dataset())
    assert [box.category_id for box in (*result.labels, *result.ignored)] == [QUEEN]


def row(count: int, first: int, score: float, category: int = KING) -> list[Any]:
    return [(first + number, category, score, score) for number in range(count)]


PEOPLE = [Box(number, 2, KING, place(number)) for number in range(4)]
KINGS_AND_PAPER = detections(*row(12, 0, 0.97), *row(2, 12, 0.5), *row(12, 14, 0.01))
UNSURE, ON_PAPER = place(12), place(13)


def features_of(boxes: Sequence[Box]) -> NDArray[np.float32]:
    """The last of the unsure detections, and all unlikely ones, show paper."""
    rng = np.random.default_rng(2)
    king, paper = np.eye(3)[:2]
    shown = [paper if box.image_id == 1 and box.xyxy >= ON_PAPER else king for box in boxes]
    vectors = np.array(shown) + rng.normal(0.3, 0.1, (len(boxes), 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit, dtype=np.float32)


def test_boxes_that_resemble_annotated_objects_weigh_more_and_others_less() -> None:
    def weights(*more: FeaturesOf) -> dict[XYXY, float]:
        result = labels_of(KINGS_AND_PAPER, dataset(*PEOPLE), *more)
        return dict(zip([box.xyxy for box in result.labels], result.weights, strict=True))

    by_scores, corrected = weights(), weights(features_of)
    assert by_scores[UNSURE] == pytest.approx(by_scores[ON_PAPER])
    assert corrected[UNSURE] > by_scores[UNSURE] + 0.1
    assert corrected.get(ON_PAPER, 0.0) < by_scores[ON_PAPER] - 0.1


def test_an_ignore_region_that_resembles_other_things_is_background() -> None:
    data = dataset(*PEOPLE)
    boxes = [Box(n + 1, 1, KING, place(n)) for n in range(14)]
    found = PseudoLabels(tuple(boxes[:12]), (1.0,) * 12, tuple(boxes[12:]))
    result = without_unlike(found, Rated.of([KINGS_AND_PAPER], data), data, features_of)
    assert result == PseudoLabels(found.labels, found.weights, (boxes[12],))
    # Without sure boxes, nothing shows what an object resembles.
    unsure = PseudoLabels((), (), tuple(boxes[12:]))
    assert without_unlike(unsure, Rated.of([KINGS_AND_PAPER], data), data, features_of) == unsure


def test_a_label_that_resembles_another_class_is_in_doubt() -> None:
    people = [Box(1, 2, KING, place(1)), Box(2, 2, QUEEN, place(2))]

    def features_of(boxes: Sequence[Box]) -> NDArray[np.float32]:
        queens = [box.category_id == QUEEN or box.image_id == 1 for box in boxes]
        return np.asarray(np.eye(2, dtype=np.float32)[np.array(queens, dtype=int)])

    found = detections((1, KING, 0.95, 0.96), (2, QUEEN, 0.95, 0.96))
    result = labels_of(found, dataset(*people), features_of)
    assert [box.category_id for box in result.labels] == [QUEEN]
    assert [box.category_id for box in result.ignored] == [KING]
    # Without annotations there is nothing to resemble.
    assert len(labels_of(found, dataset(), features_of).labels) == 2


def test_a_label_takes_its_weight_to_the_training() -> None:
    labels = (Box(1, 1, KING, place(1)), Box(2, 2, QUEEN, place(2)))
    annotated = Box(1, 1, QUEEN, place(0))
    images = training_images(
        dataset(annotated),
        Path(),
        mined=PseudoLabels(labels, (0.75, 0.25), (Box(1, 1, KING, place(3)),)),
        keep_unlabelled=True,
    )
    first, second = images
    assert first.roles.tolist() == [Role.LABEL, Role.MINED, Role.IGNORE_REGION]
    assert first.weights.tolist() == [1, 0.75, 1]
    assert second.weights.tolist() == [0.25]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("prototypes", [False, True])
def test_options_decide_how_mined_boxes_count(
    monkeypatch: pytest.MonkeyPatch, soft: bool, prototypes: bool
) -> None:
    found = [KINGS_AND_PAPER, detections(*row(len(PEOPLE), 0, 0.97), image=2)]
    module = "sparsedet.training.engine.pseudo_labelling"
    monkeypatch.setattr(f"{module}.detect_all", lambda *_, **__: found)
    monkeypatch.setattr(f"{module}.class_ids", lambda *_: [KING, QUEEN])
    monkeypatch.setattr(f"{module}.box_features", lambda *given, cache: features_of(given[-1]))
    config = short_config(6, "SPARSEDET.MINING.CLASS_PRECISION", "0.8").with_values(
        {"SPARSEDET.STAGED.SOFT_LABELS": soft, "SPARSEDET.STAGED.PROTOTYPES": prototypes}
    )
    info: Any = SimpleNamespace(run_id="run")
    result = find_pseudo_labels(nn.Identity(), config, dataset(*PEOPLE), Path(), info)
    weights = dict(zip([box.xyxy for box in result.labels], result.weights, strict=True))
    if soft:
        assert all(0 < weight < 1 for weight in weights.values())
        assert (weights[UNSURE] > weights.get(ON_PAPER, 0.0) + 0.1) == prototypes
    else:
        assert set(weights.values()) == {1.0}
        unsure = [UNSURE] if prototypes else [UNSURE, ON_PAPER]
        assert [box.xyxy for box in result.ignored] == unsure
