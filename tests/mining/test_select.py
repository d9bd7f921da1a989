"""From detections to mined boxes: thresholds from human boxes, and explained detections."""

from typing import Any

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.config.sections import MiningConfig
from sparsedet.mining.calibrate import (
    MIN_BOXES,
    NEVER,
    ScoredBox,
    scored_boxes,
    thresholds,
)
from sparsedet.mining.detections import Detections
from sparsedet.mining.mine import MiningResult, select

CONFIG = MiningConfig()
CAT, DOG = 1, 2
CATEGORIES = (Category(CAT, "cat"), Category(DOG, "dog"))
A_CAT, A_DOG = (Box(1, 1, category, (0.0, 0.0, 50.0, 50.0)) for category in (CAT, DOG))
HUMAN_SCORES = np.linspace(0.5, 0.95, 10)


def column(place: int) -> XYXY:
    """Boxes that do not touch each other."""
    return 100.0 * place, 0.0, 100.0 * place + 50, 50.0


def detections(image_id: int, *found: tuple[XYXY, int, float, float]) -> Detections:
    boxes, classes, scores, object_scores = zip(*found, strict=True)
    return Detections(
        image_id,
        np.array(boxes, dtype=np.float64),
        np.array(scores),
        np.array(classes),
        np.array(object_scores),
    )


def mine(*found: tuple[XYXY, int, float, float], **image: Any) -> MiningResult:
    """Mine an image whose ten annotated cats the model scores from 0.5 to 0.95."""
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(10))
    dataset = Dataset(
        (Image(1, "a.png", 3000, 300, **image),),
        human,
        (Category(CAT, "cat"), Category(DOG, "dog")),
    )
    scored = [(column(k), CAT, *(float(HUMAN_SCORES[k]),) * 2) for k in range(10)]
    return judged(detections(1, *scored, *found), dataset)


def judged(found: Detections, dataset: Dataset) -> MiningResult:
    """Mine an image by thresholds off its own annotations."""
    return select([found], dataset, CONFIG, run_id="r")


SURE, DOUBT, NOISE = 0.7, 0.55, 0.2
FREE = column(15)


def test_thresholds_are_quantiles_of_the_scores_on_human_boxes() -> None:
    limits = mine((FREE, CAT, 0.9, 0.9)).thresholds
    assert limits.sure[CAT] == pytest.approx(np.quantile(HUMAN_SCORES, 0.3))
    assert limits.ignored[CAT] == 0.5
    # Nobody drew a dog: its threshold is that of all classes together.
    assert limits.sure[DOG] == limits.sure[CAT]


def test_boxes_learned_by_heart_leave_room_for_others() -> None:
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(MIN_BOXES))
    dataset = Dataset((Image(1, "a.png", 3000, 300),), human, (Category(CAT, "cat"),))
    scored = [(box.xyxy, CAT, 0.999, 0.999) for box in human]
    found = detections(1, *scored, (FREE, CAT, 0.95, 0.95))
    assert len(judged(found, dataset).mined) == 1


@pytest.mark.parametrize(
    ("detection", "mined", "labels", "ignored"),
    [
        pytest.param((FREE, CAT, SURE, 0.75), 1, 1, 0, id="sure"),
        pytest.param((FREE, CAT, SURE, 0.95), 1, 0, 1, id="an object, but which class?"),
        pytest.param((FREE, CAT, DOUBT, 0.95), 0, 0, 1, id="not even sure enough to show"),
        pytest.param((FREE, CAT, DOUBT, 0.60), 0, 0, 1, id="an ignore region"),
        pytest.param((FREE, CAT, NOISE, 0.30), 0, 0, 0, id="noise"),
        pytest.param((column(3), DOG, 0.99, 0.99), 0, 0, 0, id="explained by another class"),
    ],
)
def test_what_becomes_of_a_detection(
    detection: tuple[XYXY, int, float, float], mined: int, labels: int, ignored: int
) -> None:
    result = mine(detection)
    found = (result.mined, result.labels, result.ignored)
    assert tuple(map(len, found)) == (mined, labels, ignored)


def test_what_is_rather_wrong_than_right_is_no_label() -> None:
    """Whatever the threshold: a model that has seen little scores human boxes low, too."""
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(10))
    dataset = Dataset((Image(1, "a.png", 3000, 300),), human, CATEGORIES)
    scored = [(column(k), CAT, 0.4, 0.4) for k in range(10)]
    for score, labels in ((0.45, 0), (0.55, 1)):
        result = judged(detections(1, *scored, (FREE, CAT, score, score)), dataset)
        assert (len(result.mined), len(result.labels)) == (1, labels)


def test_of_two_detections_of_one_object_the_better_is_mined() -> None:
    shifted = (FREE[0] + 4, FREE[1], FREE[2] + 4, FREE[3])
    result = mine((FREE, DOG, 0.8, 0.85), (shifted, CAT, 0.9, 0.95))
    assert [(box.category_id, box.xyxy) for box in result.mined] == [(CAT, shifted)]


def test_a_part_of_an_object_is_no_object_of_its_class() -> None:
    part = (FREE[0], FREE[1], FREE[0] + 20, FREE[3])
    nested = (part, CAT, 0.8, 0.85)
    assert [box.xyxy for box in mine((FREE, CAT, 0.9, 0.95), nested).mined] == [FREE]
    assert [box.xyxy for box in mine(nested).mined] == [part]
    assert len(mine((FREE, CAT, 0.9, 0.95), (part, DOG, 0.8, 0.85)).mined) == 2
    inside_an_annotation = (3 * 100.0 + 5, 5.0, 3 * 100.0 + 25, 45.0)
    assert not mine((inside_an_annotation, CAT, 0.9, 0.95)).mined
    assert mine((inside_an_annotation, DOG, 0.9, 0.95)).mined


def test_a_mined_box_knows_its_threshold_and_keeps_its_id() -> None:
    first, again = (mine((FREE, CAT, SURE, 0.75)).mined[0] for _ in range(2))
    assert first == again
    assert first.threshold == pytest.approx(np.quantile(HUMAN_SCORES, 0.3))
    other = mine((column(16), CAT, SURE, 0.75)).mined[0]
    assert other.region_id != first.region_id


def test_nothing_is_mined_where_a_person_vouched_for_the_image() -> None:
    result = mine((FREE, CAT, SURE, 0.75), exhaustive=True)
    assert not result.mined
    assert not result.ignored
    assert not result.known


def select_one(
    xyxy: XYXY,
    category: int,
    score: float = 0.95,
    *,
    boxes: tuple[Box, ...] = (),
    verified_negatives: tuple[Box, ...] = (),
) -> MiningResult:
    """Mine one detection on an image with ten annotated cats and other annotations."""
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(10))
    dataset = Dataset(
        (Image(1, "a.png", 3000, 300),),
        human + boxes,
        (Category(CAT, "cat"), Category(DOG, "dog")),
        verified_negatives,
    )
    scored = [(column(k), CAT, *(float(HUMAN_SCORES[k]),) * 2) for k in range(10)]
    return judged(detections(1, *scored, (xyxy, category, score, score)), dataset)


def test_what_lies_in_a_crowd_region_is_explained() -> None:
    inside = (FREE[0] + 10, 10.0, FREE[0] + 20, 20.0)
    crowd = Box(99, 1, CAT, FREE, iscrowd=True)
    assert len(select_one(inside, CAT).mined) == 1
    assert not select_one(inside, CAT, boxes=(crowd,)).mined


@pytest.mark.parametrize(
    ("category", "score", "mined", "ignored"),
    [(CAT, SURE, 0, 0), (CAT, DOUBT, 0, 0), (DOG, SURE, 1, 0), (DOG, DOUBT, 0, 1)],
)
def test_a_verified_negative_is_neither_mined_nor_in_doubt_for_its_class(
    category: int, score: float, mined: int, ignored: int
) -> None:
    shifted = (FREE[0] + 4, *FREE[1:])
    result = select_one(shifted, category, score, verified_negatives=(Box(1, 1, CAT, FREE),))
    assert (len(result.mined), len(result.labels)) == (mined, mined)
    assert len(result.ignored) == ignored


def test_without_a_scored_human_box_nothing_is_sure() -> None:
    dataset = Dataset((Image(1, "a.png", 100, 100),), (), (Category(CAT, "cat"),))
    found = detections(1, ((0, 0, 50, 50), CAT, 0.99, 0.99))
    assert not judged(found, dataset).mined


LIMITS = MiningConfig(
    quantile=0.5,
    ignore_quantile=0.05,
    max_threshold=1.0,
    ignore_range=(0.0, 1.0),
    class_precision=0.9,
)


def test_rare_classes_share_a_threshold() -> None:
    cats = [ScoredBox(A_CAT, 0.9, 0.9, True)] * MIN_BOXES
    dogs = [ScoredBox(A_DOG, 0.1, 0.1, True)] * (MIN_BOXES - 1)
    limits = thresholds(cats + dogs, CATEGORIES, LIMITS)
    assert limits.sure == {CAT: pytest.approx(0.9), DOG: pytest.approx(0.9)}
    enough = thresholds([*cats, *dogs, dogs[0]], CATEGORIES, LIMITS)
    assert enough.sure == {CAT: pytest.approx(0.9), DOG: pytest.approx(0.1)}


def test_objects_taken_for_another_class_tell_of_objects_alone() -> None:
    scored = [ScoredBox(A_CAT, 0.8, 0.95, True)] * 12 + [ScoredBox(A_CAT, 0.2, 0.5, False)] * 12
    limits = thresholds(scored, CATEGORIES, LIMITS)
    assert limits.sure[CAT] == pytest.approx(0.8)
    assert limits.ignored[CAT] == pytest.approx(0.5)


def test_what_a_weak_model_hardly_sees_is_background() -> None:
    """It scores human boxes low, so that thresholds off them alone would let everything in."""
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(12))
    dataset = Dataset((Image(1, "a.png", 3000, 300),), human, CATEGORIES)
    scored = [(column(k), CAT, score, score) for k, score in enumerate(np.linspace(0.08, 0.4, 12))]
    for score, ignored in ((0.25, 0), (0.35, 1), (0.49, 1)):
        result = judged(detections(1, *scored, (FREE, CAT, score, score)), dataset)
        assert (len(result.labels), len(result.ignored)) == (0, ignored), score


@pytest.mark.parametrize(("score", "expected"), [(0.1, 0.3), (0.45, 0.45), (0.99, 0.5)])
def test_what_is_in_doubt_is_bounded_on_both_sides(score: float, expected: float) -> None:
    """A model that is sure of all that it learned must not take the rest for background."""
    config = LIMITS.model_copy(update={"ignore_range": (0.3, 0.5)})
    limits = thresholds([ScoredBox(A_CAT, score, score, True)] * 12, CATEGORIES, config)
    assert limits.ignored[CAT] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("right", "wrong", "least"),
    [
        # Laplace: (18 + 1) / (18 + 2) = 0.95 reaches 0.9, two wrong ones further down do not.
        (18, 2, 0.8),
        (18, 0, 0.8),
        # (7 + 1) / (7 + 2) < 0.9: seven boxes prove too little.
        (7, 0, NEVER),
        # With all of 40 at the top right, the two below don't matter: 41 / 44 > 0.9.
        (40, 2, 0.4),
    ],
)
def test_a_class_is_sure_where_most_annotated_ones_are_right(
    right: int, wrong: int, least: float
) -> None:
    scored = [ScoredBox(A_CAT, 0.8, 0.9, True)] * right
    scored += [ScoredBox(A_CAT, 0.4, 0.9, False)] * wrong
    assert thresholds(scored, CATEGORIES, LIMITS).sure_class == pytest.approx(least)


def test_the_best_detection_on_an_annotated_object_scores_it() -> None:
    dataset = Dataset(
        (Image(1, "a.png", 3000, 300),),
        (Box(1, 1, CAT, FREE), Box(2, 1, CAT, column(3))),
        CATEGORIES,
    )
    found = detections(1, (FREE, DOG, 0.6, 0.9), (FREE, CAT, 0.3, 0.9), (column(5), CAT, 0.9, 0.9))
    assert scored_boxes([found], dataset) == [ScoredBox(dataset.boxes[0], 0.6, 0.9, False)]


def test_annotated_objects_are_known_from_the_score_of_doubtful_ones_on() -> None:
    human = tuple(Box(k + 1, 1, CAT, column(k)) for k in range(MIN_BOXES + 2))
    dataset = Dataset((Image(1, "a.png", 3000, 300),), human, CATEGORIES)
    scored = [(column(k), CAT, 0.3, 0.9) for k in range(MIN_BOXES)]
    # One is hardly an object to the model, and one it does not find.
    result = judged(detections(1, *scored, (column(MIN_BOXES), CAT, 0.3, 0.45)), dataset)
    assert result.thresholds.ignored[CAT] == 0.5
    assert result.known == human[:MIN_BOXES]


def test_nothing_is_mined_of_a_class_that_is_complete() -> None:
    """Nor ignored; an object of another class at the same place is found instead of it."""
    cat, dog = (FREE, CAT, 0.95, 0.95), (FREE, DOG, 0.9, 0.95)
    assert [box.category_id for box in mine(cat, dog).mined] == [CAT]
    result = mine(cat, dog, complete_classes=frozenset({CAT}))
    assert [box.category_id for box in result.mined] == [DOG]
    assert [box.category_id for box in (*result.labels, *result.ignored)] == [DOG]
    neither = mine(cat, dog, complete_classes=frozenset({CAT, DOG}))
    assert (neither.mined, neither.labels, neither.ignored) == ((), (), ())


def test_what_is_complete_does_not_say_how_many_labels_are_missing() -> None:
    assert len(mine((FREE, CAT, 0.9, 0.9)).known) > 0
    assert mine((FREE, CAT, 0.9, 0.9), complete_classes=frozenset({CAT})).known == ()
    assert len(mine((FREE, CAT, 0.9, 0.9), complete_classes=frozenset({DOG})).known) > 0
