"""Reading reviews from a real server: their authors and decisions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.errors import PlaceGoneError, ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.review_project.review_tasks import read_reviews
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Review, decide
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import Pushed, push, review
from tests.integrations.label_studio.review_project.review_helpers import mode_of
from tests.integrations.label_studio.samples import (
    FOUND_BY_MODEL,
    complete_mark,
    mined_boxes,
)

pytestmark = pytest.mark.label_studio


@pytest.fixture
def pushed(tool: LabelStudioTool, pulled: Pulled) -> Pushed:
    return push(tool, pulled, mined_boxes(pulled.dataset))


def read(pushed: Pushed, **options: Any) -> PlaceReviews:
    reviews: PlaceReviews = read_reviews(
        pushed.tool.connection, pushed.review_project, pushed.images, ToolOptions(**options)
    )
    return reviews


def only(pushed: Pushed, **options: Any) -> Review:
    (found,) = read(pushed, **options).reviews
    return found


def mined_ids(image: int) -> set[str]:
    return {f"{name}-{image + 1}" for name in FOUND_BY_MODEL}


def test_a_review_says_what_was_shown_and_what_was_left(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    waiting = frozenset(image.tool_id for image in pushed.images)
    opened = tool.open_reviews(pushed.review_project)
    offers = frozenset(str(offer.task.id) for offer in opened)
    tasks = {offer.tool_id: str(offer.task.id) for offer in opened}
    assert read(pushed) == PlaceReviews([], waiting, offers, tasks)
    offer = opened[0]
    unsure = {"mined-orange-1", "human-parcel"}
    left = [replace(r, unsure=r.region_id in unsure) for r in offer.regions]
    moved = next(r for r in left if r.region_id == "mined-moved-1")
    left[left.index(moved)] = replace(moved, xyxy=(10.0, 10.0, 60.0, 60.0))
    offer.submit([r for r in left if r.region_id != "mined-wrong-1"], seconds=4.5, complete=True)
    place = read(pushed)
    assert place.waiting == {image.tool_id for image in pushed.images[1:]}
    assert place.offers == offers
    (found,) = place.reviews
    assert found.tool_id == pushed.images[0].tool_id == offer.tool_id
    assert (found.reviewer, found.seconds, found.complete) == ("admin@example.com", 4.5, True)
    assert (found.ground_truth, found.skipped) == (False, False)
    assert found.offer == str(offer.task.id)
    assert found.saved_at.endswith("Z")
    assert set(found.shown) == mined_ids(0) | {"human-orange", "human-parcel"}
    assert found.shown["mined-moved-1"].xyxy == pytest.approx(FOUND_BY_MODEL["mined-moved"][1])
    boxes = {region.region_id: region for region in found.regions}
    assert boxes.keys() == found.shown.keys() - {"mined-wrong-1"}
    assert {id for id, region in boxes.items() if region.unsure} == unsure
    assert boxes["mined-moved-1"].xyxy == pytest.approx((10, 10, 60, 60))
    assert boxes["mined-moved-1"].content[0]["origin"] == "prediction-changed"
    # The same whenever it is read.
    assert only(pushed) == found


def test_every_reviewers_word_and_skips_are_reported(
    tool: LabelStudioTool, pushed: Pushed, colleague: Connection
) -> None:
    first, second, third = tool.open_reviews(pushed.review_project)
    first.submit(first.regions)
    first.by(colleague).submit(first.regions[:1], seconds=3.0)
    second.by(colleague).skip()
    place = read(pushed)
    assert place.waiting == {third.tool_id}
    ours, theirs, skipped = place.reviews
    assert (ours.reviewer, theirs.reviewer) == ("admin@example.com", "colleague@example.com")
    assert ours.offer == theirs.offer
    assert ours.review_id != theirs.review_id
    assert (len(ours.regions), len(theirs.regions)) == (len(first.regions), 1)
    assert ours.shown == theirs.shown
    assert ours.saved_at < theirs.saved_at
    assert (skipped.tool_id, skipped.skipped) == (second.tool_id, True)
    assert not skipped.shown
    assert not skipped.regions
    colleague.patch_json(
        f"api/annotations/{ours.review_id.partition('/')[2]}/", {"ground_truth": True}, "starring"
    )
    assert [r.ground_truth for r in read(pushed).reviews] == [True, False, False]


def resume(connection: Connection, task: int, result: Sequence[Mapping[str, Any]]) -> None:
    """Submit what was saved as a draft, as the editor does after a reload: without a parent."""
    body = {"result": result, "lead_time": 2.0}
    draft = connection.post_json(f"api/tasks/{task}/drafts", body, "drawing")
    body |= {"draft_id": draft["id"], "parent_prediction": None, "parent_annotation": None}
    connection.post_json(f"api/tasks/{task}/annotations/", body, "submitting")


def test_a_review_resumed_from_a_draft_says_what_was_deleted(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    first, second, third = tool.open_reviews(pushed.review_project)
    left = [dict(region) for region in first.prediction.result]
    left = [region for region in left if region["id"] not in ("human-orange", "mined-wrong-1")]
    moved = next(region for region in left if region["id"] == "human-parcel")
    # After a reload, the editor says of people's boxes, too, that they come from a prediction.
    moved |= {"origin": "prediction-changed", "value": {**moved["value"], "x": 1.0}}
    resume(tool.connection, first.task.id, left)
    # Drawn from scratch: the draft says nothing about the prediction.
    resume(tool.connection, second.task.id, [{**moved, "id": "own", "origin": "manual"}])
    # Of a prediction that the reviewer had open when a push replaced it.
    other = {**second.prediction.result[-1], "id": "of-an-older-prediction"}
    resume(tool.connection, third.task.id, [other, dict(third.prediction.result[0])])

    found = {found.tool_id: found for found in read(pushed).reviews}
    assert found[first.tool_id].shown.keys() == first.prediction.region_ids
    decisions = decide([found[first.tool_id]], pushed.images[0].boxes).decisions
    assert decisions["human-orange"].fate == decisions["mined-wrong-1"].fate == "deleted"
    assert decisions["human-parcel"].region.xyxy[0] == pytest.approx(6.4)
    assert not found[second.tool_id].shown
    assert found[third.tool_id].shown.keys() == {"of-an-older-prediction"}


def test_a_duplicate_of_a_review_says_what_the_first_reviewer_deleted(
    tool: LabelStudioTool, pushed: Pushed, colleague: Connection
) -> None:
    offer, *_ = tool.open_reviews(pushed.review_project)
    offer.submit([])
    first = only(pushed).review_id.partition("/")[2]
    drawn = {**offer.prediction.result[0], "id": "own"}
    body = {"result": [drawn], "lead_time": 2.0, "parent_annotation": int(first)}
    colleague.post_json(f"api/tasks/{offer.task.id}/annotations/", body, "submitting")
    _, theirs = read(pushed).reviews
    assert theirs.shown.keys() == offer.prediction.region_ids
    decisions = decide(read(pushed).reviews, pushed.images[0].boxes).decisions
    fates = {id: decision.fate for id, decision in decisions.items()}
    assert fates == {"own": "kept", **dict.fromkeys(offer.prediction.region_ids, "deleted")}


def test_reviews_stay_as_they_are_when_predictions_are_deleted(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    review(tool, pushed, 0, mined_wrong=None, human_parcel=(10.0, 10.0, 60.0, 60.0))
    before = only(pushed)
    # In the Data Manager: Actions > Delete predictions.
    action = f"api/dm/actions/?id=delete_tasks_predictions&project={pushed.review_project}"
    everything = {"selectedItems": {"all": True, "excluded": []}}
    tool.connection.post_json(action, everything, "deleting")
    assert only(pushed) == before


@pytest.mark.parametrize(
    "change",
    [
        {"value": {"rectanglelabels": ["orange", "parcel"]}},
        {"value": {"rectanglelabels": ["banana"]}},
        {"value": {"rectanglelabels": []}},
        {"type": "polygonlabels", "from_name": "outline"},
    ],
)
def test_a_box_that_became_unreadable_is_not_judged(
    tool: LabelStudioTool, pushed: Pushed, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    offer = tool.open_reviews(pushed.review_project)[0]
    result = [dict(region) for region in offer.prediction.result]
    odd = result[-1]["id"]
    result[-1] |= {**change, "value": {**result[-1]["value"], **change.get("value", {})}}
    tool.connection.client.annotations.create(
        offer.task.id, result=result, parent_prediction=offer.prediction.id
    )
    with caplog.at_level(logging.WARNING):
        found = only(pushed)
    assert odd not in {region.region_id for region in found.regions} | found.shown.keys()
    assert found.shown.keys() | {odd} == offer.prediction.region_ids
    assert odd not in decide([found], pushed.images[0].boxes).decisions
    (record,) = caplog.records
    assert "regions not used as they are: dropped 1" in record.getMessage()


def test_a_rejection_is_one_even_when_the_label_has_left_the_config(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    review(tool, pushed, 0, mined_parcel=None)
    client = tool.connection.client
    for project in (pushed.project, pushed.review_project):
        xml = client.projects.get(int(project)).label_config or ""
        client.projects.update(int(project), label_config=xml.replace('"parcel"', '"crate"'))
    found = only(pushed)
    assert found.shown["mined-parcel-1"] == pushed.images[0].boxes["mined-parcel-1"]
    decisions = decide([found], pushed.images[0].boxes).decisions
    assert decisions["mined-parcel-1"].fate == "deleted"
    assert "mined-wrong-1" not in decisions  # a parcel too, which nobody touched


@pytest.mark.parametrize("both", [False, True])
def test_reviews_are_read_by_what_labels_are_called_now(
    tool: LabelStudioTool, pushed: Pushed, both: bool
) -> None:
    review(tool, pushed, 0)
    client = tool.connection.client
    for project in (pushed.project, *([pushed.review_project] if both else [])):
        xml = client.projects.get(int(project)).label_config or ""
        xml = xml.replace('value="orange"', 'value="citrus"')
        xml = xml.replace('value="parcel"', 'value="crate" alias="parcel"')
        client.projects.update(int(project), label_config=xml)
    found = only(pushed, rename={"orange": "citrus"})
    assert len(found.regions) == len(found.shown) == 6
    for regions in (found.regions, found.shown.values()):
        names = {region.region_id: region.category for region in regions}
        assert (names["mined-orange-1"], names["human-parcel"]) == ("citrus", "crate")


def test_where_the_prediction_is_unknown_mined_boxes_are_known_as_they_were_pushed(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    offer = tool.open_reviews(pushed.review_project)[0]
    # The server keeps no copy of a prediction that the project doesn't show.
    path = f"api/projects/{pushed.review_project}/"
    tool.connection.patch_json(path, {"model_version": ""}, "showing none")
    left = [region for region in offer.regions if region.region_id != "mined-wrong-1"]
    moved = next(region for region in left if region.region_id == "mined-moved-1")
    left[left.index(moved)] = replace(moved, xyxy=(300.0, 10.0, 360.0, 60.0))
    offer.submit(left)
    tool.connection.client.predictions.delete(offer.prediction.id)
    found = only(pushed)
    # Deleted boxes look like boxes that never existed.
    assert set(found.shown) == {"mined-orange-1", "mined-parcel-1", "mined-moved-1"}
    pushed_boxes = pushed.images[0].boxes
    assert found.shown["mined-moved-1"] == pushed_boxes["mined-moved-1"]
    assert decide([found], pushed_boxes).decisions["mined-moved-1"].origin == "edited"


def test_a_review_from_scratch_judges_nothing_but_what_it_holds(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    offer = tool.open_reviews(pushed.review_project)[0]
    drawn = {**offer.prediction.result[0], "id": "drawn", "origin": "manual"}
    tool.connection.client.annotations.create(offer.task.id, result=[drawn])
    found = only(pushed)
    assert not found.shown
    assert [region.region_id for region in found.regions] == ["drawn"]


def test_a_pasted_box_lies_where_its_percentages_say(tool: LabelStudioTool, pushed: Pushed) -> None:
    offer = tool.open_reviews(pushed.review_project)[0]
    pasted = {**offer.prediction.result[0], "id": "pasted", "original_width": 64}
    tool.connection.client.annotations.create(offer.task.id, result=[pasted])
    (region,) = only(pushed).regions
    assert region.xyxy == pytest.approx((60.0, 230.0, 160.0, 330.0))
    # Nothing but the region itself speaks of images that the ledger does not know.
    (unknown,) = read(replace(pushed, images=())).reviews
    assert unknown.regions[0].xyxy == pytest.approx((6.0, 230.0, 16.0, 330.0))
    assert unknown.tool_id == offer.tool_id


def test_the_mark_may_have_been_set_under_the_usual_name_before_another_was_named(
    tool: LabelStudioTool, pushed: Pushed
) -> None:
    offer = tool.open_reviews(pushed.review_project)[0]
    tool.connection.client.annotations.create(offer.task.id, result=[complete_mark()])
    assert only(pushed).complete
    assert only(pushed, complete_control="done").complete


def test_a_deleted_review_project_is_gone_and_others_errors_are_not(
    label_studio: LocalServer, tool: LabelStudioTool, pushed: Pushed
) -> None:
    tool.connection.client.projects.delete(int(pushed.review_project))
    with pytest.raises(PlaceGoneError, match=f"review project {pushed.review_project} .* deleted"):
        mode_of(tool).reviews(pushed.review_project, pushed.images)
    with pytest.raises(PlaceGoneError):
        mode_of(tool).rename_images(pushed.review_project, {pushed.images[0].tool_id: "4711"})
    with pytest.raises(ToolError) as caught:
        mode_of(tool).reviews("no number", pushed.images)
    assert not isinstance(caught.value, PlaceGoneError)


def test_a_deleted_task_is_not_waiting(tool: LabelStudioTool, pushed: Pushed) -> None:
    first = tool.open_reviews(pushed.review_project)[0]
    tool.connection.client.tasks.delete(str(first.task.id))
    assert read(pushed).waiting == {image.tool_id for image in pushed.images[1:]}


def test_reviews_outlive_their_annotated_project(tool: LabelStudioTool, pushed: Pushed) -> None:
    review(tool, pushed, 0)
    tool.connection.client.projects.delete(int(pushed.project))
    assert len(only(pushed).regions) == 6
