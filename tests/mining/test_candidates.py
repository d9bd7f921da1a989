"""Which detections may show an object without an annotation."""

from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.mining.candidates import (
    DUPLICATE,
    RIGHT,
    UNKNOWN,
    WRONG_CLASS,
    Candidates,
    find_candidates,
)
from sparsedet.mining.detections import Detections

CAT, DOG = 1, 2
FIRST: XYXY = (0, 0, 100, 100)
OVERLAPPING: XYXY = (30, 0, 130, 100)
"""IoU 0.54 with the first."""
COPY: XYXY = (5, 0, 105, 100)
"""IoU 0.9 with the first."""
PART: XYXY = (10, 10, 50, 50)
FAR: XYXY = (200, 200, 300, 300)


def found(
    *detections: tuple[XYXY, float, int],
    boxes: tuple[Box, ...] = (),
    negatives: tuple[Box, ...] = (),
    hidden: tuple[int, ...] = (),
    exhaustive: bool = False,
    complete: frozenset[int] = frozenset(),
) -> Candidates:
    dataset = Dataset(
        (Image(1, "a.png", 400, 400, exhaustive=exhaustive, complete_classes=complete),),
        boxes,
        (Category(CAT, "cat"), Category(DOG, "dog")),
        negatives,
    )
    scores = np.array([score for _, score, _ in detections])
    return find_candidates(
        [
            Detections(
                1,
                np.array([xyxy for xyxy, _, _ in detections], dtype=np.float64).reshape(-1, 4),
                scores,
                np.array([label for *_, label in detections], dtype=np.int64),
                scores,
            )
        ],
        dataset,
        hidden,
    )


def places(candidates: Candidates) -> list[XYXY]:
    return [(a, b, c, d) for a, b, c, d in candidates.boxes.tolist()]


ANNOTATED = Box(7, 1, CAT, FIRST)


def test_the_best_detection_on_an_annotation_is_explained_and_a_second_object_is_not() -> None:
    candidates = found(
        (FIRST, 0.9, CAT), (OVERLAPPING, 0.8, CAT), (FAR, 0.3, DOG), boxes=(ANNOTATED,)
    )
    assert places(candidates) == [OVERLAPPING, FAR]
    assert candidates.overlap[0] == pytest.approx(0.538, abs=0.01)
    assert candidates.nested.tolist() == pytest.approx([0.7, 0.0])


@pytest.mark.parametrize(("xyxy", "label"), [(COPY, CAT), (OVERLAPPING, DOG)])
def test_copies_and_other_classes_of_an_annotated_object_are_explained(
    xyxy: XYXY, label: int
) -> None:
    assert places(found((FIRST, 0.9, CAT), (xyxy, 0.8, label), boxes=(ANNOTATED,))) == []


def test_of_two_detections_of_one_place_the_surer_is_kept() -> None:
    candidates = found(
        (COPY, 0.4, CAT), (FIRST, 0.9, CAT), (OVERLAPPING, 0.5, DOG), (PART, 0.2, CAT)
    )
    assert places(candidates) == [FIRST, PART]
    assert candidates.nested.tolist() == [0.0, 1.0]


def test_what_reviewers_rejected_is_no_candidate_of_that_class() -> None:
    rejected = (Box(1, 1, CAT, FIRST),)
    assert places(found((FIRST, 0.9, CAT), negatives=rejected)) == []
    assert places(found((FIRST, 0.9, DOG), negatives=rejected)) == [FIRST]


def test_crowd_regions_explain_what_lies_in_them() -> None:
    crowd = replace(ANNOTATED, xyxy=(0, 0, 150, 150), iscrowd=True)
    assert places(found((FIRST, 0.9, DOG), (FAR, 0.9, DOG), boxes=(crowd,))) == [FAR]


def test_nothing_is_missing_on_a_complete_image() -> None:
    assert len(found((FIRST, 0.9, CAT), exhaustive=True)) == 0


def test_hidden_annotations_tell_what_candidates_are() -> None:
    hidden = (ANNOTATED, Box(8, 1, DOG, FAR))
    candidates = found(
        (FIRST, 0.9, CAT),
        (OVERLAPPING, 0.5, CAT),
        (FAR, 0.4, CAT),
        ((300, 0, 350, 50), 0.3, CAT),
        boxes=hidden,
        hidden=(7, 8),
    )
    assert candidates.known.tolist() == [RIGHT, DUPLICATE, WRONG_CLASS, UNKNOWN]
    assert places(candidates.unknown) == [(300, 0, 350, 50)]


def test_without_detections_there_are_none() -> None:
    assert len(found()) == 0


def test_a_class_that_is_complete_has_no_candidates() -> None:
    """What it hides is shown: a surer cat, where there is none, is no reason to leave out a dog."""
    both = ((FAR, 0.9, CAT), (FAR, 0.5, DOG))
    assert found(*both).category_ids.tolist() == [CAT]
    assert found(*both, complete=frozenset({CAT})).category_ids.tolist() == [DOG]
    assert len(found(*both, complete=frozenset({CAT, DOG}))) == 0
