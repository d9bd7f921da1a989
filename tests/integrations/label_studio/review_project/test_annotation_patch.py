"""What reviews say, and what that makes of an annotation's results: without a server."""

from collections.abc import Sequence
from typing import Any

import pytest

from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.label_config import parse_config
from sparsedet.integrations.label_studio.predictions import StoredPrediction
from sparsedet.integrations.label_studio.regions import Oddities
from sparsedet.integrations.label_studio.review_project.annotation_patch import Patch, apply, judge
from sparsedet.integrations.label_studio.review_project.review_tasks import ReviewTask
from tests.integrations.label_studio.samples import PLACE, complete_mark, rectangle

CONFIG = parse_config(labelling_config(["cat", "dog"]), "7")


def box(id: str | None, x: float = 10.0, label: str = "cat", **more: Any) -> dict[str, Any]:
    value = {**PLACE, "x": x, "rectanglelabels": [label]}
    return rectangle(label, (200, 100), id=id, value=value, **more)


def mined(id: str, x: float = 50.0, **more: Any) -> dict[str, Any]:
    return box(id, x, score=0.9, origin="prediction", **more)


def review(shown: Sequence[dict[str, Any]] | None, *results: dict[str, Any]) -> ReviewTask:
    """Return a review that was shown a prediction, or drawn from scratch."""
    predictions = () if shown is None else (StoredPrediction(3, "run", shown),)
    annotation = {"id": 4, "result": list(results), "parent_prediction": 3}
    return ReviewTask(1, "5", predictions, annotation)


def merge(source: Sequence[dict[str, Any]], *reviews: ReviewTask) -> Patch:
    verdicts = judge(reviews, frozenset({"m1", "m2"}), CONFIG, Oddities())
    return apply(verdicts, source, CONFIG, 5)


def test_an_accepted_box_comes_with_what_the_reviewer_noted_on_it() -> None:
    note = {"id": "m1", "from_name": "size", "to_name": "image", "type": "rating", "value": {}}
    patch = merge([box("h")], review([box("h"), mined("m1")], box("h"), mined("m1"), note))
    assert patch == Patch((box("h"), mined("m1"), note), 1, 0, 0, False)


def test_what_repeats_the_place_of_a_changed_box_moves_with_it() -> None:
    repeated = box("h", type="choices", from_name="kind")
    repeated["value"] = {**repeated["value"], "choices": ["tabby"]}
    source = [box("h", note=1), repeated]
    patch = merge(source, review([box("h")], box("h", 30.0, "dog", origin="prediction-changed")))
    assert patch.results == (
        box("h", 30.0, "dog", note=1),
        {**repeated, "value": {**repeated["value"], "x": 30.0}},
    )
    assert (patch.added, patch.edited, patch.removed) == (0, 1, 0)


def test_a_rotated_box_stays_rotated_when_only_its_label_changes() -> None:
    turned = box("h")
    turned["value"]["rotation"] = 90.0
    upright = box("h")  # as the push shows it: 20 x 40 pixels turned about (20, 10)
    upright["value"] |= {"x": 0.0, "width": 10.0, "height": 40.0}
    renamed = {**upright, "value": {**upright["value"], "rectanglelabels": ["dog"]}}
    (result,) = merge([turned], review([upright], renamed)).results
    assert result["value"] == {**turned["value"], "rectanglelabels": ["dog"]}
    assert not merge([turned], review([upright], upright)).changes


@pytest.mark.parametrize("moved", [0.4, -0.4])
def test_less_than_a_pixel_is_no_change(moved: float) -> None:
    assert not merge([box("h")], review([box("h")], box("h", 10.0 + moved))).changes


def test_an_imported_box_without_an_id_is_found_by_its_place() -> None:
    source = [box(None, 70.0), box(None)]
    shown = [box("box1", 70.0), box("box2")]
    edited = merge(source, review(shown, shown[0], box("box2", 40.0)))
    assert edited.results == (source[0], box("box2", 40.0))
    assert merge(edited.results, review(shown, shown[0], box("box2", 40.0))).changes is False
    assert merge(source, review(shown, shown[1])).results == (source[1],)


def test_a_box_is_not_doubled_where_one_is_that_nobody_was_shown() -> None:
    source = [box("h"), box("unseen", 51.0), box("other", 51.0, "dog")]
    assert not merge(source, review([box("h"), mined("m1")], box("h"), mined("m1"))).changes
    assert not merge(source, review(None, box("drawn", 12.0))).changes
    shown = review([*source, mined("m1")], *source, mined("m1"))
    assert merge(source, shown).added == 1


def test_what_two_reviewers_drew_is_added_once() -> None:
    first = review([box("h")], box("h"), box("d1", 60.0))
    second = review([box("h")], box("h"), box("d2", 61.0), box("d3", 61.0, "dog"))
    assert merge([box("h")], first, second).results == (
        box("h"),
        box("d1", 60.0),
        box("d3", 61.0, "dog"),
    )


def test_a_later_review_overrules_an_earlier_one() -> None:
    first = review([box("h"), mined("m1")], box("h", 30.0), mined("m1"), box("drawn", 75.0))
    second = review([box("h"), box("m1", 50.0), mined("m2", 0.0)], box("h"), mined("m2", 0.0))
    patch = merge([box("h")], first, second)
    assert patch.results == (box("h", 30.0), box("drawn", 75.0), mined("m2", 0.0))


def test_a_later_review_that_leaves_a_box_overrules_nothing() -> None:
    shown = [box("h"), mined("m1")]
    first = review(shown, box("h", 30.0), mined("m1", 60.0))
    second = review([box("h"), box("m1", 50.0)], box("h"), box("m1", 50.0))
    assert merge([box("h")], first, second).results == (box("h", 30.0), mined("m1", 60.0))


def test_undecided_boxes_stay_out_and_peoples_own_stay_in() -> None:
    unsure: dict[str, Any] = {"meta": {"text": ["unsure"]}}
    reviewed = review(
        [box("h"), mined("m1")],
        box("h", 30.0, **unsure),
        mined("m1", **unsure),
        box("d", 75.0, **unsure),
    )
    assert not merge([box("h")], reviewed).changes
    # Accepted and merged before, then taken back.
    assert merge([box("h"), mined("m1")], reviewed).results == (box("h"),)


def test_what_no_box_can_be_made_of_is_neither_added_nor_removed() -> None:
    both = box("h")
    both["value"] = {**both["value"], "rectanglelabels": ["cat", "dog"]}
    oddities = Oddities()
    reviews = [review([box("h")], both)]
    patch = apply(judge(reviews, frozenset(), CONFIG, oddities), [box("h")], CONFIG, 5)
    assert not patch.changes
    assert oddities.dropped == {"several labels": 1}


def test_the_mark_replaces_what_its_control_said_before() -> None:
    mark = complete_mark()
    before = {**mark, "id": "old", "value": {"choices": ["not yet"]}}
    patch = merge([before, box("h")], review([box("h")], box("h"), mark))
    assert patch == Patch(({**before, "value": mark["value"]}, box("h")), 0, 0, 0, True)
    assert not merge([mark], review([box("h")], mark)).changes
