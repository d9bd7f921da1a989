"""The scripted reviewer's decisions."""

import pytest

from sparsedet.annotations import XYXY
from sparsedet.simulation import TrueObject, review_regions
from sparsedet.tool import ReviewedRegion

TRUE: XYXY = (100, 100, 200, 200)
NEAR: XYXY = (105, 100, 205, 200)
HALF: XYXY = (145, 100, 245, 200)
FAR: XYXY = (300, 300, 400, 400)


@pytest.mark.parametrize(
    ("category", "xyxy", "remains"),
    [
        pytest.param("cat", NEAR, NEAR, id="good enough stays as it is"),
        pytest.param("cat", HALF, TRUE, id="half right is moved onto the object"),
        pytest.param("cat", FAR, None, id="nothing there"),
        pytest.param("dog", NEAR, None, id="another class"),
    ],
)
def test_what_becomes_of_a_mined_box(category: str, xyxy: XYXY, remains: XYXY | None) -> None:
    mined = ReviewedRegion("m", category, xyxy)
    left = review_regions([mined], {"m": 0.9}, [TrueObject("cat", TRUE)])
    assert left == ([] if remains is None else [ReviewedRegion("m", category, remains)])


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
