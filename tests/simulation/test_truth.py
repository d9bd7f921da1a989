"""Objects without full annotations, and a faultless review of mined boxes."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError
from sparsedet.reviews import ReviewedRegion
from sparsedet.simulation import TrueObject, read_neutral
from sparsedet.simulation.truth import missing_objects, review_regions

TRUTH = Dataset((Image(7, "a.jpg", 640, 480),), (), (Category(3, "cat"),))
ENTRY = {"image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40], "score": 0.7}


def test_a_results_list_becomes_boxes(tmp_path: Path) -> None:
    file = tmp_path / "neutral.json"
    file.write_text(json.dumps([ENTRY]))
    assert read_neutral(file, TRUTH) == (Box(1, 7, 3, (10, 20, 40, 60)),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "not a COCO results list"),
        ([ENTRY, {"image_id": 7}], "entry 1: invalid COCO result"),
        ([{**ENTRY, "bbox": [1, 2, 3]}], "entry 0: invalid COCO result"),
        ([{**ENTRY, "bbox": [1, 2, 0, 4]}], r"entry 0: bbox \[1, 2, 0, 4\] has no area"),
        ([{**ENTRY, "image_id": 8}], "entry 0: image 8 is not in the full annotations"),
        ([{**ENTRY, "category_id": "cat"}], "entry 0: category 'cat' is not in the full"),
    ],
)
def test_a_broken_entry_is_named(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "neutral.json"
    file.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message):
        read_neutral(file, TRUTH)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"neutral\.json: no such file"):
        read_neutral(tmp_path / "neutral.json", TRUTH)


TRUE: XYXY = (100, 100, 200, 200)
NEAR: XYXY = (105, 100, 205, 200)
HALF: XYXY = (145, 100, 245, 200)
"""IoU 0.38 with `TRUE`."""
ADJACENT: XYXY = (185, 100, 285, 200)
"""IoU 0.43 with `HALF`, 0.08 with `TRUE`."""
FAR: XYXY = (300, 300, 400, 400)


@pytest.mark.parametrize(
    ("category", "xyxy", "remains"),
    [
        pytest.param("cat", NEAR, NEAR, id="good enough stays as it is"),
        pytest.param("cat", HALF, TRUE, id="half right is moved onto the object"),
        pytest.param("cat", FAR, None, id="nothing there"),
        pytest.param("dog", HALF, None, id="half right and of another class"),
    ],
)
def test_what_becomes_of_a_mined_box(category: str, xyxy: XYXY, remains: XYXY | None) -> None:
    mined = ReviewedRegion("m", category, xyxy)
    left = review_regions([mined], {"m": 0.9}, [TrueObject("cat", TRUE)])
    assert left == ([] if remains is None else [ReviewedRegion("m", category, remains)])


def test_a_box_of_another_class_gets_that_of_the_object() -> None:
    mined = ReviewedRegion("m", "dog", NEAR)
    left = review_regions([mined], {"m": 0.9}, [TrueObject("cat", TRUE)])
    assert left == [ReviewedRegion("m", "cat", NEAR)]


@pytest.mark.parametrize("of_a_person", [True, False])
def test_a_box_of_another_class_is_deleted_where_the_object_has_a_box(of_a_person: bool) -> None:
    right, other = ReviewedRegion("r", "cat", TRUE), ReviewedRegion("m", "dog", NEAR)
    scores = {"m": 0.9} if of_a_person else {"m": 0.9, "r": 0.4}
    assert review_regions([right, other], scores, [TrueObject("cat", TRUE)]) == [right]


def test_human_boxes_stay_and_take_their_object() -> None:
    human = ReviewedRegion("h", "cat", FAR)
    drawn = ReviewedRegion("d", "cat", TRUE)
    double = ReviewedRegion("m", "cat", NEAR)
    left = review_regions([double, human, drawn], {"m": 0.9}, [TrueObject("cat", TRUE)])
    assert left == [human, drawn]


def test_of_two_boxes_on_one_object_the_surer_stays() -> None:
    boxes = [ReviewedRegion("low", "cat", TRUE), ReviewedRegion("high", "cat", NEAR)]
    left = review_regions(boxes, {"low": 0.4, "high": 0.8}, [TrueObject("cat", TRUE)])
    assert [region.region_id for region in left] == ["high"]


def test_a_half_fit_does_not_take_the_object_of_a_good_one() -> None:
    boxes = [ReviewedRegion("half", "cat", HALF), ReviewedRegion("near", "cat", NEAR)]
    scores = {"half": 0.9, "near": 0.4}
    only = review_regions(boxes, scores, [TrueObject("cat", TRUE)])
    assert only == [boxes[1]]
    both = review_regions(boxes, scores, [TrueObject("cat", TRUE), TrueObject("cat", ADJACENT)])
    assert both == [ReviewedRegion("half", "cat", ADJACENT), boxes[1]]


@pytest.mark.parametrize(
    ("category", "xyxy", "unsure"),
    [
        pytest.param("cat", NEAR, True, id="fits"),
        pytest.param("cat", HALF, None, id="half fits: not moved onto what may not be there"),
        pytest.param("dog", HALF, None, id="half right and of another class"),
    ],
)
def test_a_mined_box_on_a_neutral_object(category: str, xyxy: XYXY, unsure: bool | None) -> None:
    left = review_regions(
        [ReviewedRegion("m", category, xyxy)],
        {"m": 0.9},
        [TrueObject("cat", FAR)],
        [TrueObject("cat", TRUE)],
    )
    kept = [] if unsure is None else [ReviewedRegion("m", category, xyxy, unsure=unsure)]
    assert left == kept


def test_a_true_object_comes_before_a_neutral_one() -> None:
    mined = ReviewedRegion("m", "cat", NEAR)
    left = review_regions([mined], {"m": 0.9}, [TrueObject("cat", TRUE)], [TrueObject("cat", NEAR)])
    assert left == [mined]


def test_a_box_that_was_unsure_before_is_decided_where_it_can_be() -> None:
    before = ReviewedRegion("m", "cat", NEAR, unsure=True)
    left = review_regions([before], {"m": 0.9}, [TrueObject("cat", TRUE)])
    assert left == [ReviewedRegion("m", "cat", NEAR, unsure=False)]


@pytest.mark.parametrize(
    ("regions", "missing"),
    [
        pytest.param([("cat", NEAR, False), ("cat", FAR, False)], [], id="both are shown"),
        pytest.param([("cat", NEAR, False)], [FAR], id="one is missing"),
        pytest.param([], [TRUE, FAR], id="no boxes at all"),
        pytest.param([("cat", NEAR, False), ("dog", FAR, False)], [FAR], id="another class"),
        pytest.param([("cat", HALF, False), ("cat", FAR, False)], [TRUE], id="half shown"),
        pytest.param([("cat", NEAR, False), ("cat", FAR, True)], [FAR], id="unsure"),
        pytest.param([("cat", TRUE, False), ("cat", NEAR, False)], [FAR], id="two boxes on one"),
    ],
)
def test_which_objects_no_box_shows(
    regions: list[tuple[str, XYXY, bool]], missing: list[XYXY]
) -> None:
    boxes = [ReviewedRegion(str(i), *region) for i, region in enumerate(regions)]
    objects = [TrueObject("cat", TRUE), TrueObject("cat", FAR)]
    assert missing_objects(boxes, objects) == [TrueObject("cat", xyxy) for xyxy in missing]
    assert missing_objects(boxes, []) == []
