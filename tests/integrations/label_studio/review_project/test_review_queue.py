"""Images that people are asked to open, in order, with or without mined boxes; on a real server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.integrations.label_studio.review_project.review_setup import VIEW_TITLE
from sparsedet.push_modes import PushedImage, PushReport, ToReview
from sparsedet.reviews import ReviewedRegion, decide
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import drafts
from tests.integrations.label_studio.review_project.review_helpers import (
    ids,
    mode_of,
    predictions,
    push,
    up,
)
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, mined_boxes

pytestmark = pytest.mark.label_studio


def mined_on(pulled: Pulled, *numbers: int) -> list[MinedBox]:
    """What the model finds on the images with these numbers, from 1."""
    wanted = {pulled.dataset.images[number - 1].id for number in numbers}
    return [box for box in mined_boxes(pulled.dataset) if box.image_id in wanted]


def queue(pulled: Pulled, *numbers: int) -> list[int]:
    return [pulled.dataset.images[number - 1].id for number in numbers]


def tasks(tool: LabelStudioTool, report: PushReport) -> list[dict[str, Any]]:
    found = export_tasks(tool.connection, int(report.review_project))
    return sorted((dict(task) for task in found), key=lambda task: int(task["id"]))


def order(tool: LabelStudioTool, pulled: Pulled, report: PushReport) -> list[int]:
    """The numbers of the images that wait, in the order in which a script is offered them."""
    numbers = {image.tool_id: n for n, image in enumerate(pulled.dataset.images, start=1)}
    return [numbers[review.tool_id] for review in tool.open_reviews(report.review_project)]


def sized(pulled: Pulled) -> Sequence[PushedImage]:
    return [
        PushedImage(image.tool_id or "", image.tool_version, {}, (image.width, image.height))
        for image in pulled.dataset.images
    ]


def test_tasks_are_made_in_the_order_of_the_queue(tool: LabelStudioTool, pulled: Pulled) -> None:
    mined = mined_on(pulled, 1, 3)
    third = frozenset(queue(pulled, 3))
    report = push(tool, pulled, mined, queue=queue(pulled, 2, 3), judge_only=third)
    assert (report.images, report.boxes, report.created) == (3, 8, 3)
    assert order(tool, pulled, report) == [2, 3, 1]
    sources = [str(task["data"]["sparsedet_source_task"]) for task in tasks(tool, report)]
    assert sources == [str(pulled.dataset.images[n - 1].tool_id) for n in (2, 3, 1)]
    before = tasks(tool, report), predictions(tool, report)
    options: dict[str, Any] = {"queue": queue(pulled, 2, 3), "judge_only": third}
    dry = push(tool, pulled, mined, **options, dry_run=True)
    again = push(tool, pulled, mined, **options)
    assert again == dry == replace(report, created=0)
    assert (tasks(tool, report), predictions(tool, report)) == before
    waiting = tool.open_reviews(report.review_project)
    assert [review.judge_only for review in waiting] == [False, True, False]
    # The tick says nothing of what was reviewed, and goes when drawing can't wait any more.
    assert push(tool, pulled, mined, queue=queue(pulled, 2, 3)).created == 1
    second = tool.open_reviews(report.review_project)[1]
    assert not second.judge_only
    assert second.regions == waiting[1].regions


def test_an_image_without_mined_boxes_shows_its_annotations(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    """Or nothing where it has none."""
    dry = push(tool, half_annotated, [], queue=queue(half_annotated, 2, 1), dry_run=True)
    report = push(tool, half_annotated, [], queue=queue(half_annotated, 2, 1))
    assert (report.images, report.boxes, report.created) == (2, 0, 2)
    assert dry == replace(report, review_project="", url="")
    (prediction,) = predictions(tool, report)
    assert {region["id"] for region in prediction["result"]} == DRAWN_BY_PEOPLE.keys()
    assert not prediction["score"]
    view, *_ = tool.connection.client.views.list(project=int(report.review_project))
    assert view.data["title"] == VIEW_TITLE
    hidden = view.data["hiddenColumns"]["explore"]
    assert {"tasks:data.sparsedet_source_task", "tasks:data.sparsedet_model_version"} <= set(hidden)
    again = push(tool, half_annotated, [], queue=queue(half_annotated, 2, 1))
    assert again == replace(report, created=0)

    bare, shown = tool.open_reviews(report.review_project)
    assert bare.tool_id == half_annotated.dataset.images[1].tool_id
    assert (bare.regions, bare.scores, shown.scores) == ((), {}, {})
    drawn = ReviewedRegion("drawn-1", "orange", (190.0, 270.0, 290.0, 370.0))
    bare.submit([drawn], seconds=7.0, complete=True)
    shown.submit([*shown.regions[:1], replace(drawn, region_id="drawn-2")])
    found = mode_of(tool).reviews(report.review_project, sized(half_annotated)).reviews
    first, second = found
    assert (first.tool_id, first.complete, first.seconds) == (bare.tool_id, True, 7.0)
    assert (first.shown, [r.region_id for r in first.regions]) == ({}, ["drawn-1"])
    assert first.regions[0].xyxy == pytest.approx(drawn.xyxy)
    assert first.regions[0].content[0]["origin"] == "manual"
    assert second.shown.keys() == DRAWN_BY_PEOPLE.keys()
    verdict = decide([second], {})
    kept = shown.regions[0].region_id
    (deleted,) = DRAWN_BY_PEOPLE.keys() - {kept}
    assert (verdict.decisions[deleted].fate, verdict.drawn) == ("deleted", frozenset({"drawn-2"}))


def test_a_reviewed_image_is_not_put_up_again_under_the_same_version(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    names = queue(half_annotated, 1, 2)
    report = push(tool, half_annotated, [], queue=names)
    submitted, skipped = tool.open_reviews(report.review_project)
    submitted.submit(submitted.regions)
    skipped.skip()
    before = tasks(tool, report), predictions(tool, report)
    again = push(tool, half_annotated, [], queue=names)
    assert (again.images, again.created, again.deleted) == (0, 0, 0)
    assert (tasks(tool, report), predictions(tool, report)) == before
    # Another model may ask for it once more; what somebody skipped still waits.
    newer = push(tool, half_annotated, [], "run-2", queue=names)
    assert (newer.images, newer.created) == (1, 1)
    assert order(tool, half_annotated, newer) == [2, 1]
    assert push(tool, half_annotated, [], "run-2", queue=names) == replace(newer, created=0)


def test_a_bare_image_is_known_to_be_up_under_the_newest_version(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    names = queue(half_annotated, 2)
    push(tool, half_annotated, mined_on(half_annotated, 2), queue=names)
    for version, changed in (("run-2", 1), ("run-2", 0), ("run-3", 1)):
        report = push(tool, half_annotated, [], version, queue=names, withdrawn=ids(2))
        assert (report.images, report.created) == (1, changed)
        assert (len(tasks(tool, report)), predictions(tool, report)) == (1, [])
    # No name without predictions is left for the server to ask a backend for.
    number = int(report.review_project)
    assert not tool.connection.client.projects.get(number).model_version
    (review,) = tool.open_reviews(report.review_project)
    review.submit([])
    again = push(tool, half_annotated, [], "run-3", queue=names, withdrawn=ids(2))
    assert (again.images, again.created) == (0, 0)


def test_an_image_that_a_push_no_longer_names_is_taken_down(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    report = push(tool, pulled, mined_on(pulled, 3), queue=queue(pulled, 1, 2))
    begun, _, _ = tasks(tool, report)
    body = {"result": [], "lead_time": 2.0}
    colleague.post_json(f"api/tasks/{begun['id']}/drafts", body, "drawing")
    report = push(tool, pulled, mined_on(pulled, 3))
    assert (report.images, report.created, report.deleted) == (1, 0, 2)
    assert order(tool, pulled, report) == [1, 3]  # somebody has begun the first


def test_an_image_whose_boxes_are_withdrawn_keeps_its_task_and_looks_plain(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    first = push(tool, pulled, mined_on(pulled, 1, 2), queue=queue(pulled, 1, 2))
    before = [task["id"] for task in tasks(tool, first)]
    report = push(tool, pulled, [], "run-2", queue=queue(pulled, 1, 3), withdrawn=ids(1, 2))
    assert (report.images, report.boxes, report.created) == (2, 0, 2)
    audit, plain = tasks(tool, report)
    assert audit["id"] == before[0]
    assert up(tool, report) == set()
    # The one whose boxes are held back looks like the other.
    assert audit["data"].keys() == plain["data"].keys()
    one, other = predictions(tool, report)
    same = ("model_version", "score", "result")
    for field in same[:2]:
        assert one[field] == other[field]
    assert [r.keys() for r in one["result"]] == [r.keys() for r in other["result"]]
    assert audit["total_predictions"] == plain["total_predictions"]
    withdrawn = ids(1, 2)
    again = push(tool, pulled, [], "run-2", queue=queue(pulled, 1, 3), withdrawn=withdrawn)
    assert again == replace(report, created=0, deleted=0)


def test_boxes_of_a_begun_review_cannot_be_held_back(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    report = push(tool, pulled, mined_on(pulled, 1))
    (begun,) = tasks(tool, report)
    (prediction,) = predictions(tool, report)
    body = {"result": [], "lead_time": 2.0, "parent_prediction": prediction["id"]}
    colleague.post_json(f"api/tasks/{begun['id']}/drafts", body, "drawing")
    report = push(tool, pulled, [], "run-2", queue=queue(pulled, 1), withdrawn=ids(1))
    (reason,) = report.skipped.values()
    assert reason.startswith("somebody has started its review")
    assert report.images == 0
    assert up(tool, report) == ids(1)


def test_undo_leaves_nothing_behind(tool: LabelStudioTool, half_annotated: Pulled) -> None:
    names = queue(half_annotated, 2, 1)
    report = push(tool, half_annotated, mined_on(half_annotated, 1), queue=names)
    mode, number = mode_of(tool), report.review_project
    project = half_annotated.project
    part = mode.undo(project, number, frozenset({"mined-wrong-1"}))
    assert (part.tasks, len(tasks(tool, report))) == (0, 2)
    dry = mode.undo(project, number, ids(1), dry_run=True)
    done = mode.undo(project, number, ids(1))
    assert done == dry
    # The queue, images without mined boxes, and a tab for each class.
    assert (done.tasks, done.predictions, done.views) == (2, 1, 4)
    assert (tasks(tool, report), predictions(tool, report)) == ([], [])
    # Also where nothing but images without mined boxes was pushed.
    push(tool, half_annotated, [], queue=names)
    done = mode.undo(project, number, frozenset())
    assert (done.tasks, done.predictions, done.views) == (2, 1, 2)
    assert (tasks(tool, report), predictions(tool, report)) == ([], [])


def test_undo_keeps_what_somebody_has_reviewed_or_begun(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    report = push(tool, pulled, [], queue=queue(pulled, 1, 2, 3))
    reviewed, begun, _ = tool.open_reviews(report.review_project)
    reviewed.submit(reviewed.regions, complete=True)
    body = {"result": [], "lead_time": 2.0, "parent_prediction": begun.prediction.id}
    colleague.post_json(f"api/tasks/{begun.task.id}/drafts", body, "drawing")
    done = mode_of(tool).undo(pulled.project, report.review_project, frozenset())
    assert (done.tasks, done.views, set(done.kept)) == (1, 0, {begun.tool_id})
    assert [t["id"] for t in tasks(tool, report)] == [reviewed.task.id, begun.task.id]


def test_a_queue_of_unknown_images_is_refused(tool: LabelStudioTool, pulled: Pulled) -> None:
    with pytest.raises(ToolError, match="the queue names image id 123456, which the dataset"):
        push(tool, pulled, [], queue=[123456])


def test_drafts_ignore_images_without_mined_boxes(tool: LabelStudioTool, pulled: Pulled) -> None:
    draft = tool.push_modes["draft"]

    def push_draft(mined: list[MinedBox]) -> PushReport:
        report: PushReport = draft.push(
            pulled.project, ToReview(pulled.dataset, mined, "run-1", queue=queue(pulled, 1, 2))
        )
        return report

    nothing = push_draft([])
    assert (nothing.images, nothing.boxes, nothing.created) == (0, 0, 0)
    report = push_draft(mined_on(pulled, 2))
    assert (report.images, report.created) == (1, 1)
    (written,) = drafts(tool, pulled)
    assert str(written["task"]) == pulled.dataset.images[1].tool_id
