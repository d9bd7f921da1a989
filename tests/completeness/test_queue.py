"""The queue: ranked by gain per second, and a blind sample can't be recognised."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import Image
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts, estimated_costs, with_undecided
from sparsedet.completeness.queue import AUDIT_SHARE, Outlook, ShownBox, draw_audit, plan_queue
from sparsedet.completeness.selection import Selection
from sparsedet.ledger import QueueEntry, ReviewWork
from sparsedet.sheets.arrangement import CROPS

COSTS = ReviewCosts()
REVIEW = [QueueEntry(0, expected=1000.0, seconds=2000.0)]
"""A round's queue: it brings an object in two seconds."""


def outlook(id: int, missing: float, *shown: float) -> Outlook:
    boxes = tuple(ShownBox(right=chance, on_object=chance) for chance in shown)
    return Outlook(Image(id, f"{id}.png", 10, 10), missing, boxes)


def work(shown: int, corrected: int, drawn: int, seconds: float | None) -> ReviewWork:
    return ReviewWork(
        tool_id="1",
        round=1,
        seconds=seconds,
        shown=shown,
        corrected=corrected,
        drawn=drawn,
        complete=True,
        audit=False,
        saved_at="",
        review_id="1",
    )


def test_images_where_most_is_found_per_second_come_first() -> None:
    many = outlook(1, 8, *[0.9] * 8)
    sure = outlook(2, 1, 0.99)
    nothing_to_see = outlook(3, 3)
    hopeless = outlook(4, 0.01)
    queue = plan_queue([hopeless, sure, nothing_to_see, many], COSTS)
    assert [entry.image_id for entry in queue] == [1, 2, 3, 4]
    assert [entry.boxes for entry in queue] == [8, 1, 0, 0]
    assert queue[2].seconds == pytest.approx(2 + 3 * 7)


def test_it_ends_where_little_is_left() -> None:
    images = [outlook(1, 5), outlook(2, 3), outlook(3, 0.5), outlook(4, 0.4)]
    assert [entry.image_id for entry in plan_queue(images, COSTS, leave=1.0)] == [1, 2]


def test_an_image_with_mined_boxes_is_never_left_out() -> None:
    images = [outlook(1, 5), outlook(2, 0.4, 0.4)]
    assert {entry.image_id for entry in plan_queue(images, COSTS, leave=1.0)} == {1, 2}


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(Budget(images=2), [1, 2]), (Budget(seconds=70), [1]), (Budget(seconds=10), [])],
)
def test_a_budget_ends_it(budget: Budget, expected: list[int]) -> None:
    images = [outlook(id, 10 - id) for id in range(1, 6)]
    assert [entry.image_id for entry in plan_queue(images, COSTS, budget=budget)] == expected


def test_a_blind_sample_is_the_same_for_a_seed_and_does_not_look_at_images() -> None:
    images = [outlook(id, 0.1) for id in range(200)]
    fuller = [outlook(id, 0.05 * (id % 3)) for id in range(200)]
    drawn = draw_audit(images, 20, COSTS, review=REVIEW, seed=1, round=1)
    assert len(drawn) == 20
    assert drawn == draw_audit(fuller, 20, COSTS, review=REVIEW, seed=1, round=1)
    assert drawn != draw_audit(images, 20, COSTS, review=REVIEW, seed=1, round=2)
    assert drawn != draw_audit(images, 20, COSTS, review=REVIEW, seed=2, round=1)


def test_neither_sample_nor_order_depends_on_how_a_server_names_files() -> None:
    images = [outlook(id, 1.0) for id in range(100)]
    renamed = [
        Outlook(Image(o.image.id, f"{99 - o.image.id}-x.png", 10, 10), o.missing) for o in images
    ]
    audits = [draw_audit(i, 20, COSTS, review=REVIEW, seed=1, round=1) for i in (images, renamed)]
    assert audits[0] == audits[1]
    queues = [plan_queue(i, COSTS, audit=audits[0]) for i in (images, renamed)]
    assert queues[0] == queues[1]


def test_of_few_images_few_are_drawn() -> None:
    images = [outlook(id, 0.0) for id in range(30)]
    assert len(draw_audit(images, 20, COSTS, review=REVIEW, seed=1, round=1)) == 3
    assert not draw_audit(images[:9], 20, COSTS, review=REVIEW, seed=1, round=1)


def test_a_blind_sample_may_not_cost_much() -> None:
    images = [outlook(id, 4, *[0.95] * 4) for id in range(100)]
    drawn = draw_audit(images, 20, COSTS, review=REVIEW, seed=1, round=1)
    extra = sum(i.blind_entry(COSTS).seconds - 2 * i.missing for i in images if i.image.id in drawn)
    assert 2 < len(drawn) < 20
    assert AUDIT_SHARE * 2000 < extra < AUDIT_SHARE * 2000 + 30


@pytest.mark.parametrize(
    ("budget", "audited"),
    [
        (Budget(images=1), 0),
        (Budget(images=2), 1),
        (Budget(seconds=30), 0),  # less than one image drawn from scratch
        (Budget(seconds=59), 0),
        (Budget(seconds=61), 1),
    ],
)
def test_a_blind_sample_does_not_use_up_a_small_budget(budget: Budget, audited: int) -> None:
    images = [outlook(id, 4, *[0.95] * 4) for id in range(100)]
    queue = plan_queue(images, COSTS, budget=budget)
    drawn = draw_audit(images, 20, COSTS, review=queue, budget=budget, seed=1, round=1)
    assert len(drawn) == audited
    queue = plan_queue(images, COSTS, budget=budget, audit=drawn)
    assert budget.allows(sum(entry.seconds for entry in queue), len(queue))
    assert len(queue) > audited


def test_images_of_the_sample_lie_anywhere_in_the_queue_and_show_no_boxes() -> None:
    places: list[float] = []
    for seed in range(60):
        images = [outlook(id, id / 10, *[0.9] * (id // 10)) for id in range(1, 101)]
        audit = draw_audit(images, 3, COSTS, review=REVIEW, seed=seed, round=1)
        queue = plan_queue(images, COSTS, audit=audit, seed=seed)
        assert {entry.image_id for entry in queue if entry.audit} == audit
        assert all(entry.boxes == 0 for entry in queue if entry.audit)
        places += [row / len(queue) for row, entry in enumerate(queue) if entry.audit]
    assert sum(places) / len(places) == pytest.approx(0.5, abs=0.08)
    assert min(places) < 0.1
    assert max(places) > 0.9


def test_boxes_are_shown_that_save_more_than_they_cost() -> None:
    chances = np.array([0.3, 0.35, 0.1, 0.1])
    on_object = np.array([0.3, 0.35, 0.4, 0.5])
    # 7 s for each object, less 0.7 s and 2.5 s where the box is wrong or of the wrong class.
    np.testing.assert_allclose(COSTS.saved(chances, on_object), [-0.35, 0.125, -0.15, 0.55])
    shows = Selection(COSTS).shows(chances, on_object)
    assert shows.tolist() == [False, True, False, True]


def test_a_target_shows_as_many_boxes_as_can_be() -> None:
    chances = np.array([0.5, 0.9, 0.8, 0.1])
    shows = Selection(COSTS, target_precision=0.85).shows(chances, chances)
    assert shows.tolist() == [False, True, True, False]
    assert not Selection(COSTS, target_precision=0.95).shows(chances, chances).any()


def test_a_box_of_the_wrong_class_spares_the_drawing() -> None:
    sure = outlook(1, 1.0, 0.9)
    doubtful = replace(sure, shown=(ShownBox(right=0.5, on_object=0.9),))
    longer = doubtful.entry(COSTS).seconds - sure.entry(COSTS).seconds
    assert longer == pytest.approx(0.4 * COSTS.correction)


MANY = [outlook(id, 4.0, *[0.95] * 3) for id in range(200)]
"""Judging boxes gives 2.85 of 4 missing objects of each image a box."""


@pytest.mark.parametrize(
    ("wanted", "share"),
    [(0, 0), (200 * 2.85, 0), (200 * 3.425, 0.5), (200 * 4, 1), (math.inf, 1)],
)
def test_people_draw_only_where_judging_does_not_bring_enough(wanted: float, share: float) -> None:
    queue = plan_queue(MANY, COSTS, wanted=wanted)
    assert len(queue) == len(MANY)
    drawn = [entry for entry in queue if not entry.judge_only]
    assert len(drawn) / len(queue) == pytest.approx(share, abs=0.1)
    assert sum(entry.expected for entry in queue) >= 0.95 * min(wanted, 4 * len(MANY))
    seconds = {entry.judge_only: entry.seconds for entry in queue}
    if len(seconds) == 2:
        assert seconds[False] - seconds[True] == pytest.approx(1.15 * COSTS.drawing)


def test_who_draws_on_an_image_stays_the_same() -> None:
    def drawn_on(wanted: float) -> set[int]:
        queue = plan_queue(MANY, COSTS, wanted=wanted)
        return {entry.image_id for entry in queue if not entry.judge_only}

    few, many = drawn_on(200 * 3.1), drawn_on(200 * 3.7)
    assert few < many
    assert few == drawn_on(200 * 3.1)


def test_at_a_price_only_cheap_images_are_judged() -> None:
    many = outlook(1, 9, *[0.9] * 8)
    # Its only box hardly pays for opening it, unless on a sheet.
    single = replace(outlook(2, 1, 0.9), crops_do=True)
    nothing_to_see = outlook(3, 3)
    images = [many, single, nothing_to_see]
    (entry,) = plan_queue(images, COSTS, wanted=100.0, price=3.0)
    assert (entry.image_id, entry.judge_only) == (1, True)
    queue = plan_queue(images, COSTS, wanted=100.0, price=3.0, sheets=True)
    assert {entry.image_id for entry in queue} == {1, 2}


def test_images_without_mined_boxes_are_always_to_be_completed() -> None:
    queue = plan_queue([outlook(1, 0.5), *MANY], COSTS, wanted=0)
    assert {entry.image_id for entry in queue if not entry.judge_only} == {1}


def test_boxes_that_stay_undecided_cost_no_correction() -> None:
    decided = with_undecided(COSTS, deleted=[0.5] * 300, undecided=[], reviewed=900)
    assert set(decided.deleted.at_grid) == {1}
    assert decided.undecided < COSTS.undecided / 10
    costs = with_undecided(COSTS, deleted=[0.2] * 10, undecided=[0.2] * 170, reviewed=500)
    again = 10 * (costs.undecided - COSTS.undecided) * (COSTS.image + COSTS.box)
    assert costs.seconds_on_sheets(10, 6) == pytest.approx(COSTS.seconds_on_sheets(10, 6) + again)
    # Half of the objects have another class, which is always corrected.
    corrections = costs.corrections(np.array([0.2]), np.array([0.4]))
    assert corrections == pytest.approx(0.2 + 0.15 * 0.6)
    (entry,) = plan_queue([replace(outlook(1, 0.4), shown=(ShownBox(0.2, 0.4),))], costs)
    assert entry.seconds == pytest.approx(COSTS.seconds(1, 0.2 + 0.15 * 0.6, 0))


def test_less_likely_boxes_are_shown_where_reviewers_delete_few() -> None:
    costs = with_undecided(COSTS, deleted=[0.2] * 10, undecided=[0.2] * 170, reviewed=500)
    chances = np.array([0.1, 0.2, 0.5])
    assert Selection(costs).shows(chances, chances).tolist() == [False, True, True]
    assert Selection(COSTS).shows(chances, chances).tolist() == [False, False, True]


def test_what_surer_boxes_left_undecided_says_nothing_about_less_likely_ones() -> None:
    seen = {"deleted": [0.8] * 10 + [0.4] * 300, "undecided": [0.8] * 500 + [0.4] * 100}
    costs = with_undecided(COSTS, **seen, reviewed=2000)
    shares = costs.deleted.at(np.array([0.1, 0.4, 0.8]))
    assert shares == pytest.approx([1, 320 / 420, 30 / 530], abs=0.01)
    unlikely = np.array([0.2])
    assert not Selection(costs).shows(unlikely, unlikely).any()


def test_costs_follow_the_times_of_many_reviews() -> None:
    slow = ReviewCosts(image=5, box=1, correction=4, drawing=14)
    done = [
        work(shown, corrected, drawn, slow.seconds(shown, corrected, drawn))
        for shown in range(0, 20, 2)
        for corrected in range(4)
        for drawn in range(4)
    ]
    found = estimated_costs(done, COSTS)
    for name in ("image", "box", "correction", "drawing"):
        assert getattr(found, name) == pytest.approx(getattr(slow, name), rel=0.25)


def test_few_reviews_and_breaks_change_costs_little() -> None:
    assert estimated_costs([], COSTS) == COSTS
    assert estimated_costs([work(3, 0, 0, None), work(3, 0, 0, 3600)], COSTS) == COSTS
    one = estimated_costs([work(0, 0, 1, 14)], COSTS)
    assert COSTS.drawing < one.drawing < 11


def test_reviews_on_sheets_do_not_change_costs() -> None:
    """A sheet opens no image, and an image's share of its time is a guess."""
    one = work(3, 0, 0, 20)
    assert estimated_costs([one], COSTS) != COSTS
    assert estimated_costs([replace(one, partial=True)], COSTS) == COSTS


def test_boxes_go_on_sheets_where_that_takes_less_time() -> None:
    def on_sheets(boxes: int, costs: ReviewCosts = COSTS, *, crops_do: bool = True) -> bool:
        one = replace(outlook(1, boxes, *[0.9] * boxes), crops_do=crops_do)
        # Judging brings what is wanted: nobody has to draw.
        (entry,) = plan_queue([one], costs, wanted=0.0, sheets=True)
        image = one.entry(costs, judge_only=True)
        assert entry.seconds <= image.seconds
        assert (entry.seconds < image.seconds) == entry.on_sheets
        return entry.on_sheets

    assert [on_sheets(count) for count in (1, 3, 5)] == [True] * 3
    # On an image with many boxes, opening it costs little for each of them.
    assert not on_sheets(12)
    assert not on_sheets(1, crops_do=False)
    doubtful = with_undecided(COSTS, deleted=[0.9] * 10, undecided=[0.9] * 200, reviewed=500)
    assert not on_sheets(3, doubtful)
    (whole,) = plan_queue([replace(outlook(1, 1, 0.9), crops_do=True)], COSTS, wanted=0.0)
    assert not whole.on_sheets


def test_a_sheet_counts_as_one_image_of_a_budget() -> None:
    many = [replace(outlook(id, 1, 0.9, 0.8), crops_do=True) for id in range(1, 40)]
    queue = plan_queue(many, COSTS, budget=Budget(images=2), wanted=0.0, sheets=True)
    assert sum(entry.boxes for entry in queue) == 2 * CROPS
