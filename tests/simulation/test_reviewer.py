"""The reviewer's decisions and speed; for drawing see `test_drawing.py`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.reviews import ReviewedRegion
from sparsedet.simulation import Behaviour, Reviewer

RIGHT: XYXY = (0, 100, 100, 200)
NEARLY: XYXY = (5, 100, 105, 200)
HALF: XYXY = (45, 100, 145, 200)
WRONG: XYXY = (400, 300, 500, 400)
NEUTRAL: XYXY = (200, 100, 300, 200)

TRUTH = Dataset(
    images=(Image(1, "a.jpg", 640, 480), Image(2, "b.jpg", 640, 480)),
    boxes=(Box(1, 1, 1, RIGHT), Box(2, 1, 1, (500, 0, 600, 90), iscrowd=True)),
    categories=(Category(1, "cat"),),
)
MANY = 400


def mined(xyxy: XYXY, count: int = MANY) -> Iterator[tuple[list[ReviewedRegion], dict[str, float]]]:
    """Yield one image after the other, each with the same mined box under an id of its own."""
    for number in range(count):
        yield [ReviewedRegion(f"m{number}", "cat", xyxy)], {f"m{number}": 0.9}


def test_every_box_is_judged_by_its_place() -> None:
    places = {"right": NEARLY, "wrong": WRONG, "neutral": NEUTRAL}
    regions = [ReviewedRegion(name, "cat", xyxy) for name, xyxy in places.items()]
    human = ReviewedRegion("human", "cat", WRONG)
    reviewer = Reviewer(TRUTH, [Box(1, 1, 1, NEUTRAL)])
    review = reviewer.review("a.jpg", [*regions, human], dict.fromkeys(places, 0.9))
    assert review.regions == (
        regions[0],
        ReviewedRegion("neutral", "cat", NEUTRAL, unsure=True),
        human,
    )
    counts = (review.accepted, review.edited, review.rejected, review.unsure)
    assert counts == (1, 0, 1, 1)


def test_every_action_takes_its_time() -> None:
    behaviour = Behaviour(
        seconds_per_image=1000,
        seconds_per_box=100,
        seconds_per_action=10,
        seconds_per_drawn_box=1,
        draw_share=0,
    )
    reviewer = Reviewer(TRUTH, [Box(1, 1, 1, NEUTRAL)], behaviour)
    seconds = {
        name: reviewer.review("a.jpg", [ReviewedRegion("m", "cat", xyxy)], {"m": 0.9}).seconds
        for name, xyxy in (("right", NEARLY), ("half", HALF), ("wrong", WRONG), ("not", NEUTRAL))
    }
    assert seconds == {"right": 1100, "half": 1110, "wrong": 1110, "not": 1100}
    human = [ReviewedRegion("h", "cat", WRONG)]
    assert reviewer.review("a.jpg", human, {}).seconds == 1000
    draws = replace(behaviour, draw_share=1)
    assert Reviewer(TRUTH, behaviour=draws).review("a.jpg", human, {}).seconds == 1001


def test_the_time_of_a_whole_review() -> None:
    """2 s + 3 boxes of 0.7 s + a correction and a deletion of 2.5 s + a drawn box of 7 s."""
    missing = Box(3, 1, 1, (300, 300, 400, 400))
    places = {"right": NEARLY, "half": (245.0, 100.0, 345.0, 200.0), "wrong": WRONG}
    truth = TRUTH.with_boxes([*TRUTH.boxes, Box(4, 1, 1, NEUTRAL), missing])
    regions = [ReviewedRegion(name, "cat", xyxy) for name, xyxy in places.items()]
    # Scores of boxes that are not shown take no time: a tool may still know withdrawn ones.
    scores = dict.fromkeys([*places, "withdrawn"], 0.9)
    review = Reviewer(truth).review("a.jpg", regions, scores)
    counts = (review.accepted, review.edited, review.rejected, review.drawn, review.boxes)
    assert counts == (1, 1, 1, 1, 3)
    assert review.seconds == pytest.approx(2 + 3 * 0.7 + 2 * 2.5 + 7)


@pytest.mark.parametrize(
    ("behaviour", "xyxy", "field", "share"),
    [
        pytest.param(Behaviour(misses=0.3), WRONG, "accepted", 0.3, id="overlooked"),
        pytest.param(Behaviour(misses=1.0), NEARLY, "accepted", 1.0, id="misses spare right ones"),
        pytest.param(Behaviour(wrong_clicks=0.3), NEARLY, "rejected", 0.3, id="deleted"),
        pytest.param(Behaviour(wrong_clicks=1.0), NEUTRAL, "unsure", 1.0, id="neutral stays"),
    ],
)
def test_mistakes_are_as_frequent_as_asked_for(
    behaviour: Behaviour, xyxy: XYXY, field: str, share: float
) -> None:
    reviewer = Reviewer(TRUTH, [Box(1, 1, 1, NEUTRAL)], behaviour)
    found = [getattr(reviewer.review("a.jpg", *shown), field) for shown in mined(xyxy)]
    assert np.mean(found) == pytest.approx(share, abs=0.07)


def test_a_class_is_corrected_unless_that_is_overlooked() -> None:
    regions, scores = next(mined(NEARLY))
    shown = [replace(regions[0], category="dog")]
    review = Reviewer(TRUTH).review("a.jpg", shown, scores)
    assert (review.edited, review.rejected, review.drawn, review.complete) == (1, 0, 0, True)
    assert review.regions == (replace(regions[0], category="cat"),)
    assert review.seconds == pytest.approx(2 + 0.7 + 2.5)
    careless = Reviewer(TRUTH, behaviour=Behaviour(misses=1.0)).review("a.jpg", shown, scores)
    assert (careless.accepted, careless.drawn, careless.regions) == (1, 0, tuple(shown))


def test_a_shaking_hand_moves_corrected_edges_within_the_image() -> None:
    reviewer = Reviewer(TRUTH, behaviour=Behaviour(jitter=0.1))
    edges = np.array([reviewer.review("a.jpg", *shown).regions[0].xyxy for shown in mined(HALF)])
    moves = edges - np.array(RIGHT)
    assert moves[:, 1:].std(axis=0) == pytest.approx(8.8, abs=1)  # 10 px, cut off at two of them
    assert np.abs(moves).max() <= 20
    assert edges[:, 0].min() == 0  # the object touches the image's edge
    kept = [reviewer.review("a.jpg", *shown).regions[0].xyxy for shown in mined(NEARLY, 5)]
    assert kept == [NEARLY] * 5


def test_decisions_belong_to_seed_and_region_alone() -> None:
    behaviour = Behaviour(misses=0.5, wrong_clicks=0.5, jitter=0.1)

    def decisions(order: int, seed: int) -> dict[str, Any]:
        reviewer = Reviewer(TRUTH, behaviour=behaviour, seed=seed)
        shown = [*mined(WRONG, 50), *mined(HALF, 50)][::order]
        return {
            f"{regions[0].region_id} {regions[0].xyxy}": reviewer.review("a.jpg", regions, scores)
            for regions, scores in shown
        }

    assert decisions(1, seed=3) == decisions(-1, seed=3)
    assert decisions(1, seed=3) != decisions(1, seed=4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"misses": 1.1}, "misses is 1.1, expected a share from 0 to 1"),
        ({"wrong_clicks": -0.1}, "wrong_clicks is -0.1, expected a share from 0 to 1"),
        ({"jitter": 0.5}, "jitter is 0.5, expected a share from 0 to 0.2"),
        ({"misses": float("nan")}, "misses is nan"),
        ({"seconds_per_image": -1}, "seconds_per_image is -1, expected seconds"),
        ({"seconds_per_action": float("inf")}, "seconds_per_action is inf, expected seconds"),
        ({"seconds_per_box": -0.1}, "seconds_per_box is -0.1, expected seconds"),
        ({"seconds_per_drawn_box": -7}, "seconds_per_drawn_box is -7, expected seconds"),
        ({"draw_share": 1.5}, "draw_share is 1.5, expected a share from 0 to 1"),
    ],
)
def test_impossible_behaviour_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(SparseDetError, match=message):
        Behaviour(**values)


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(SparseDetError, match=r"no image c\.jpg"):
        Reviewer(TRUTH).review("c.jpg", [], {})
