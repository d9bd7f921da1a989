"""Missing boxes: which ones the reviewer draws, and when an image is complete."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.reviews import ReviewedRegion
from sparsedet.simulation import Behaviour, Reviewer

LEFT: XYXY = (0, 100, 100, 200)
RIGHT: XYXY = (300, 100, 400, 200)
NEAR_LEFT: XYXY = (5, 100, 105, 200)
HALF_LEFT: XYXY = (45, 100, 145, 200)
"""IoU 0.38 with `LEFT`: corrected."""
WRONG: XYXY = (400, 300, 500, 400)
NEUTRAL: XYXY = (200, 300, 300, 400)
CROWD: XYXY = (500, 0, 600, 90)

CATEGORIES = (Category(1, "cat"), Category(2, "dog"))
TRUTH = Dataset(
    images=(Image(1, "a.jpg", 640, 480), Image(2, "b.jpg", 640, 480)),
    boxes=(Box(1, 1, 1, LEFT), Box(2, 1, 2, RIGHT), Box(3, 1, 1, CROWD, iscrowd=True)),
    categories=CATEGORIES,
)
ROW = [(float(x), 100.0, x + 100.0, 200.0) for x in range(0, 40_000, 100)]
"""400 places next to each other."""
CROWDED = Dataset(
    (Image(1, "a.jpg", 40_000, 480), Image(2, "b.jpg", 40_000, 480)),
    tuple(
        Box(number, image, 1, xyxy)
        for number, (image, xyxy) in enumerate(((i, xyxy) for i in (1, 2) for xyxy in ROW), start=1)
    ),
    CATEGORIES,
)


def cat(region_id: str, xyxy: XYXY, *, unsure: bool = False) -> ReviewedRegion:
    return ReviewedRegion(region_id, "cat", xyxy, unsure)


def drawn(
    reviewer: Reviewer, regions: list[ReviewedRegion], *mined: str, file_name: str = "a.jpg"
) -> list[tuple[str, XYXY]]:
    """Review, and return class and place of the new boxes, which have to come last."""
    review = reviewer.review(file_name, regions, dict.fromkeys(mined, 0.9))
    known = {region.region_id for region in regions}
    new = [region for region in review.regions if region.region_id not in known]
    assert list(review.regions[len(review.regions) - review.drawn :]) == new
    assert not any(region.unsure for region in new)
    return [(region.category, region.xyxy) for region in new]


@pytest.mark.parametrize(
    ("regions", "mined", "expected"),
    [
        pytest.param([], [], [("cat", LEFT), ("dog", RIGHT)], id="an empty image"),
        pytest.param([cat("h", NEAR_LEFT)], [], [("dog", RIGHT)], id="a person's box shows it"),
        pytest.param(
            [cat("h", HALF_LEFT)], [], [("cat", LEFT), ("dog", RIGHT)], id="a person's half shows"
        ),
        pytest.param([cat("m", NEAR_LEFT)], ["m"], [("dog", RIGHT)], id="a mined box shows it"),
        pytest.param([cat("m", HALF_LEFT)], ["m"], [("dog", RIGHT)], id="a corrected box shows it"),
        pytest.param(
            [cat("m", RIGHT)], ["m"], [("cat", LEFT)], id="a box with a corrected class shows it"
        ),
        pytest.param(
            [cat("h", NEAR_LEFT, unsure=True)], [], [("cat", LEFT), ("dog", RIGHT)],
            id="an unsure box shows nothing",
        ),
        pytest.param(
            [cat("low", LEFT), cat("h", NEAR_LEFT)], ["low"], [("dog", RIGHT)],
            id="a second box on the object is deleted",
        ),
    ],
)  # fmt: skip
def test_what_no_sure_box_shows_is_drawn(
    regions: list[ReviewedRegion], mined: list[str], expected: list[tuple[str, XYXY]]
) -> None:
    assert drawn(Reviewer(TRUTH), regions, *mined) == expected


def test_where_drawing_can_wait_only_boxes_are_judged() -> None:
    reviewer = Reviewer(TRUTH)
    review = reviewer.review("a.jpg", [cat("m", LEFT)], {"m": 0.9}, judge_only=True)
    assert (review.accepted, review.drawn, review.complete) == (1, 0, False)
    assert review.seconds == pytest.approx(2 + 0.7)
    # Nothing is missing: whoever has the image open sees that, too.
    everything = [cat("m", LEFT), replace(cat("n", RIGHT), category="dog")]
    scores = {"m": 0.9, "n": 0.9}
    assert reviewer.review("a.jpg", everything, scores, judge_only=True).complete


def test_a_box_deleted_by_mistake_leaves_its_object_to_be_drawn() -> None:
    reviewer = Reviewer(TRUTH, behaviour=Behaviour(wrong_clicks=1.0))
    review = reviewer.review("a.jpg", [cat("m", LEFT)], {"m": 0.9})
    assert (review.rejected, review.drawn, review.complete) == (1, 2, True)
    assert "m" not in {region.region_id for region in review.regions}


def test_neutral_objects_are_neither_drawn_nor_missing() -> None:
    reviewer = Reviewer(TRUTH, [Box(1, 2, 1, NEUTRAL)])
    assert drawn(reviewer, [], file_name="b.jpg") == []
    assert reviewer.review("b.jpg", [], {}).complete
    left_open = reviewer.review("b.jpg", [cat("m", NEUTRAL)], {"m": 0.9})
    assert (left_open.unsure, left_open.complete) == (1, True)


@pytest.mark.parametrize("wrong_clicks", [0.0, 1.0], ids=["next to the right box", "alone"])
def test_an_overlooked_box_shows_only_what_no_right_box_does(wrong_clicks: float) -> None:
    """A double on the first of two objects; the right box fits the second one, too."""
    objects = [(100.0, 100.0, 200.0, 200.0), (130.0, 100.0, 230.0, 200.0)]
    truth = TRUTH.with_boxes([Box(n, 1, 1, xyxy) for n, xyxy in enumerate(objects, start=1)])
    regions = [cat("double", (75, 100, 175, 200)), cat("right", objects[0])]
    reviewer = Reviewer(truth, behaviour=Behaviour(misses=1.0, wrong_clicks=wrong_clicks))
    review = reviewer.review("a.jpg", regions, {"double": 0.1, "right": 0.9})
    assert review.regions[0] == regions[0]
    assert review.rejected == wrong_clicks
    assert [r.xyxy for r in review.regions[len(review.regions) - review.drawn :]] == objects[1:]
    assert review.complete


def test_boxes_listed_in_any_order_show_the_same_objects() -> None:
    """The less sure box fits both objects, the surer one only one of them."""
    objects = [(100.0, 100.0, 200.0, 200.0), (130.0, 100.0, 230.0, 200.0)]
    truth = TRUTH.with_boxes([Box(n, 1, 1, xyxy) for n, xyxy in enumerate(objects, start=1)])
    boxes = [cat("both", (112, 100, 212, 200)), cat("one", (90, 100, 190, 200))]
    for regions in permutations(boxes):
        review = Reviewer(truth).review("a.jpg", regions, {"both": 0.4, "one": 0.9})
        assert (review.accepted, review.drawn, review.complete) == (2, 0, True)


@pytest.mark.parametrize(
    ("draw_share", "regions", "complete"),
    [
        pytest.param(1.0, [], True, id="all drawn"),
        pytest.param(0.0, [], False, id="nothing drawn"),
        pytest.param(
            0.0, [cat("h", LEFT), ReviewedRegion("d", "dog", RIGHT)], True, id="nothing to draw"
        ),
        pytest.param(0.0, [cat("h", LEFT)], False, id="one is left out"),
    ],
)
def test_an_image_is_complete_where_every_object_has_a_box(
    draw_share: float, regions: list[ReviewedRegion], complete: bool
) -> None:
    reviewer = Reviewer(TRUTH, behaviour=Behaviour(draw_share=draw_share))
    assert reviewer.review("a.jpg", regions, {}).complete is complete


def test_as_many_objects_are_drawn_as_asked_for() -> None:
    reviewer = Reviewer(CROWDED, behaviour=Behaviour(draw_share=0.3))
    review = reviewer.review("a.jpg", [], {})
    assert review.drawn / len(ROW) == pytest.approx(0.3, abs=0.07)
    assert review.seconds == pytest.approx(2 + 7 * review.drawn)
    other = {xyxy for _, xyxy in drawn(reviewer, [], file_name="b.jpg")}
    assert other != {region.xyxy for region in review.regions}, "each image has chances of its own"


def test_whether_an_object_is_drawn_depends_on_nothing_else() -> None:
    behaviour = Behaviour(draw_share=0.5, jitter=0.1)
    alone = set(Reviewer(CROWDED, behaviour=behaviour, seed=3).review("a.jpg", [], {}).regions)
    other = Reviewer(CROWDED, behaviour=behaviour, seed=4).review("a.jpg", [], {})
    assert {region.region_id for region in other.regions} != {r.region_id for r in alone}
    reviewer = Reviewer(CROWDED.with_boxes(CROWDED.boxes[::-1]), behaviour=behaviour, seed=3)
    shown = [cat(f"h{number}", xyxy) for number, xyxy in enumerate(ROW[::2])]
    crowded = reviewer.review("a.jpg", [*shown, cat("m", WRONG)], {"m": 0.9})
    again = reviewer.review("a.jpg", [*shown, cat("m", WRONG)], {"m": 0.9})
    assert again == crowded
    new = set(crowded.regions) - set(shown)
    assert new < alone
    assert len(new) > 50


def test_new_boxes_have_ids_of_their_own_that_stay() -> None:
    first = Reviewer(CROWDED).review("a.jpg", [], {}).regions
    second = Reviewer(CROWDED, seed=2).review("b.jpg", [], {}).regions
    ids = [region.region_id for region in (*first, *second)]
    assert len(set(ids)) == len(ids) == 2 * len(ROW)
    # A drawn box that somebody moved far away keeps its id, and the object is drawn once more.
    (taken,) = [region.region_id for region in first if region.xyxy == ROW[0]]
    for mined in (False, True):
        moved = cat(taken, (0, 400, 100, 480))
        review = Reviewer(CROWDED).review("a.jpg", [moved], {taken: 0.9} if mined else {})
        (new,) = [region for region in review.regions if region.xyxy == ROW[0]]
        assert new.region_id != taken
        left = [region.region_id for region in review.regions]
        assert len(set(left)) == len(left)


def test_two_objects_in_one_place_get_two_boxes() -> None:
    truth = TRUTH.with_boxes([Box(1, 1, 1, LEFT), Box(2, 1, 1, LEFT)])
    first, second = Reviewer(truth).review("a.jpg", [], {}).regions
    assert first.xyxy == second.xyxy == LEFT
    assert first.region_id != second.region_id


def test_a_shaking_hand_moves_drawn_edges_within_the_image() -> None:
    behaviour = Behaviour(jitter=0.1)
    review = Reviewer(CROWDED, behaviour=behaviour).review("a.jpg", [], {})
    moves = np.array([region.xyxy for region in review.regions]) - np.array(ROW)
    assert moves.std(axis=0) == pytest.approx(9.6, abs=1)  # 10 px, clipped at two of them
    assert np.abs(moves).max() <= 20
    edges = np.array([region.xyxy for region in review.regions])
    assert edges.min() >= 0
    assert edges[:, 2].max() <= 40_000
    assert review.complete


def test_what_a_shaking_hand_has_corrected_is_not_drawn_on_top() -> None:
    reviewer = Reviewer(TRUTH, behaviour=Behaviour(jitter=0.2))
    for number in range(200):
        name = f"m{number}"
        regions = [cat(name, HALF_LEFT), ReviewedRegion("d", "dog", RIGHT)]
        review = reviewer.review("a.jpg", regions, {name: 0.9})
        assert (review.edited, review.drawn, review.complete) == (1, 0, True)
