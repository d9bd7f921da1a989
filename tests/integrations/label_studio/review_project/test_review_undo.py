"""What leaves a review project: replaced or withdrawn boxes. On a real server."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.offers import GONE
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.integrations.label_studio.review_project import review_push
from sparsedet.integrations.label_studio.review_project.review_setup import VIEW_TITLE
from sparsedet.push_modes import PushReport, UndoReport
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import (
    BOXES,
    IMAGES,
    ids,
    mode_of,
    predictions,
    push,
    review_projects,
    up,
)
from tests.integrations.label_studio.samples import mined_boxes

pytestmark = pytest.mark.label_studio


def undo(
    tool: LabelStudioTool,
    pulled: Pulled,
    report: PushReport,
    region_ids: frozenset[str],
    **options: Any,
) -> UndoReport:
    return mode_of(tool).undo(pulled.project, report.review_project, region_ids, **options)


def views(tool: LabelStudioTool, report: PushReport) -> list[str]:
    found = tool.connection.client.views.list(project=int(report.review_project))
    return [view.data["title"] for view in found]


def tasks(tool: LabelStudioTool, report: PushReport) -> list[Any]:
    return sorted(
        export_tasks(tool.connection, int(report.review_project)), key=lambda task: int(task["id"])
    )


def begin_review(connection: Connection, task: int, prediction: Any) -> None:
    """Change something in the editor without submitting it."""
    body = {
        "result": prediction["result"][:1],
        "lead_time": 2.0,
        "parent_prediction": prediction["id"],
    }
    connection.post_json(f"api/tasks/{task}/drafts", body, "drawing")


def test_a_newer_model_replaces_the_unreviewed_boxes_of_an_older_one(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    first, *_ = tool.open_reviews(report.review_project)
    first.submit(first.regions)
    newer = [
        replace(box, region_id=f"newer-{box.region_id}")
        for box in mined_boxes(pulled.dataset)
        if box.image_id != pulled.dataset.images[1].id
    ]
    report = push(tool, pulled, newer, "run-2")
    waiting = tool.open_reviews(report.review_project)
    # One prediction per open task; an image that the newer model has no boxes for keeps its own.
    assert len(waiting) == IMAGES
    by_image = {review.tool_id: set(review.scores) for review in waiting}
    images = [str(image.tool_id) for image in pulled.dataset.images]
    assert by_image[images[1]] == ids(2)
    assert by_image[images[2]] == {f"newer-{id}" for id in ids(3)}
    assert by_image[images[0]] == {f"newer-{id}" for id in ids(1)}
    left = predictions(tool, report)
    assert sorted(p["model_version"] for p in left) == ["run-1", *["run-2"] * IMAGES]
    assert (report.created, report.deleted) == (2, 2)
    assert push(tool, pulled, newer, "run-2") == replace(report, created=0, deleted=0)


@pytest.mark.parametrize("step", ["delete_predictions", "_delete_tasks"])
def test_a_cut_between_import_and_deletion_is_completed(
    tool: LabelStudioTool, pulled: Pulled, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    push(tool, pulled)

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(review_push, step, interrupted)
    fewer = [box for box in mined_boxes(pulled.dataset) if not box.region_id.endswith("-3")]
    withdrawn = ids(3)
    with pytest.raises(KeyboardInterrupt):
        push(tool, pulled, fewer, "run-2", withdrawn=withdrawn)
    monkeypatch.undo()
    report = push(tool, pulled, fewer, "run-2", withdrawn=withdrawn)
    assert up(tool, report) == ids(1, 2)
    assert len(predictions(tool, report)) == len(tasks(tool, report)) == 2


def test_withdrawn_boxes_leave_open_tasks(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)
    withdrawn = ids(1) | {"mined-wrong-2"}
    left = [box for box in mined_boxes(pulled.dataset) if box.region_id not in withdrawn]
    dry = push(tool, pulled, left, withdrawn=withdrawn, dry_run=True)
    report = push(tool, pulled, left, withdrawn=withdrawn)
    assert report == dry
    assert up(tool, report) == ids(2, without="mined-wrong") | ids(3)
    assert len(tasks(tool, report)) == IMAGES - 1
    assert (report.images, report.boxes, report.created, report.deleted) == (2, 7, 1, 3)
    # Without any other box to push.
    assert push(tool, pulled, [], withdrawn=ids(2, 3)).boxes == 0
    assert tasks(tool, report) == []
    assert views(tool, report)[0] == VIEW_TITLE


def test_a_task_that_somebody_skipped_or_has_begun_is_not_deleted(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    report = push(tool, pulled)
    begun, skipped, _ = tasks(tool, report)
    prediction = next(p for p in predictions(tool, report) if p["task"] == begun["id"])
    begin_review(colleague, begun["id"], prediction)
    next(r for r in tool.open_reviews(report.review_project) if r.task.id == skipped["id"]).skip()
    report = push(tool, pulled, [], withdrawn=ids(1, 2, 3))
    left = {task["id"]: task for task in tasks(tool, report)}
    assert left.keys() == {begun["id"], skipped["id"]}
    # A review can't be submitted when its prediction is gone.
    assert [p["task"] for p in predictions(tool, report)] == [begun["id"]]

    new = [replace(b, region_id=f"new-{b.region_id}") for b in mined_boxes(pulled.dataset)]
    report = push(tool, pulled, new, "run-2")
    source = str(begun["data"]["sparsedet_source_task"])
    assert report.skipped == {
        source: "somebody has started its review, but not submitted it; push again afterwards"
    }
    assert (report.images, report.created, report.gone) == (IMAGES - 1, IMAGES - 1, frozenset())


def test_undo_takes_back_what_nobody_has_touched(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    report = push(tool, pulled)
    reviewed, begun, _ = tool.open_reviews(report.review_project)
    reviewed.submit(reviewed.regions)
    offered = next(p for p in predictions(tool, report) if p["task"] == begun.task.id)
    begin_review(colleague, begun.task.id, offered)
    number = int(report.review_project)
    client = tool.connection.client
    client.tasks.create(project=number, data={"image": "/data/upload/theirs.jpg"})
    before = [t for t in tasks(tool, report) if t["annotations"] or t["drafts"]]

    dry = undo(tool, pulled, report, ids(1, 2, 3), dry_run=True)
    assert len(tasks(tool, report)) == IMAGES + 1
    done = undo(tool, pulled, report, ids(1, 2, 3))
    assert done == dry
    assert (done.predictions, done.tasks, done.views) == (1, 1, 0)
    assert len(done.region_ids) == 4
    assert done.kept == {begun.tool_id: "somebody has started its review, but not submitted it"}
    assert [t for t in tasks(tool, report) if t["annotations"] or t["drafts"]] == before
    assert len(tasks(tool, report)) == IMAGES
    assert len(predictions(tool, report)) == 2
    # Again: nothing is left to do, and what is no longer up is said once more.
    again = undo(tool, pulled, report, ids(1, 2, 3))
    assert (again.predictions, again.tasks, again.region_ids) == (0, 0, done.region_ids)
    assert client.projects.get(number).model_version == "run-1"


def test_undo_of_some_boxes_leaves_the_others_up(tool: LabelStudioTool, pulled: Pulled) -> None:
    report = push(tool, pulled)
    taken = frozenset({"mined-wrong-1", "mined-moved-1"})
    done = undo(tool, pulled, report, taken)
    assert (done.region_ids, done.tasks, done.views) == (taken, 0, 0)
    assert up(tool, report) == ids(1, 2, 3) - taken
    (offer,) = [r for r in tool.open_reviews(report.review_project) if len(r.scores) == 2]
    assert len(offer.regions) == 4  # people's boxes are shown with them


def test_undo_of_everything_removes_view_and_model_version_unless_renamed(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    number = int(report.review_project)
    done = undo(tool, pulled, report, ids(1, 2, 3))
    # The queue, and a tab for each class.
    assert (done.predictions, done.tasks, done.views) == (IMAGES, IMAGES, 3)
    assert done.region_ids == ids(1, 2, 3)
    assert (tasks(tool, report), predictions(tool, report), views(tool, report)) == ([], [], [])
    assert not tool.connection.client.projects.get(number).model_version
    # Everything can go up again, in the same project.
    assert push(tool, pulled) == report
    view, *_ = tool.connection.client.views.list(project=number)
    body = {"data": {**view.data, "title": "Mine"}}
    tool.connection.patch_json(f"api/dm/views/{view.id}/", body, "renaming")
    assert undo(tool, pulled, report, ids(1, 2, 3)).views == 2  # the tabs of the classes
    assert views(tool, report) == ["Mine"]


@pytest.mark.parametrize("step", ["delete_predictions", "_delete_tasks"])
def test_an_undo_that_was_cut_off_is_completed(
    tool: LabelStudioTool, pulled: Pulled, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    report = push(tool, pulled)
    taken = ids(1) | {"mined-wrong-2"}

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(review_push, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        undo(tool, pulled, report, taken)
    monkeypatch.undo()
    assert undo(tool, pulled, report, taken).region_ids == taken
    assert up(tool, report) == ids(1, 2, 3) - taken
    assert len(predictions(tool, report)) == len(tasks(tool, report)) == 2


def test_a_review_project_that_was_deleted(tool: LabelStudioTool, pulled: Pulled) -> None:
    report = push(tool, pulled)
    tool.connection.client.projects.delete(int(report.review_project))
    assert undo(tool, pulled, report, ids(1)).region_ids == ids(1)
    again = push(tool, pulled)
    assert again.review_project != report.review_project
    assert (again.images, again.boxes, again.created) == (IMAGES, BOXES, IMAGES)
    assert len(review_projects(tool, pulled)) == 1


def test_images_that_the_project_no_longer_has_are_skipped(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    first, *others = (str(image.tool_id) for image in pulled.dataset.images)
    tool.connection.client.tasks.delete(first)
    reason = GONE
    dry = push(tool, pulled, dry_run=True)
    assert review_projects(tool, pulled) == []
    assert (dry.review_project, dry.url, dry.created) == ("", "", IMAGES - 1)
    report = push(tool, pulled)
    assert (report.images, report.skipped, report.gone) == (
        2,
        {first: reason},
        frozenset({first}),
    )
    for task in others:
        tool.connection.client.tasks.delete(task)
    report = push(tool, pulled)
    assert (report.images, report.boxes, report.gone) == (0, 0, frozenset({first, *others}))


def test_renamed_images_keep_their_reviews(tool: LabelStudioTool, pulled: Pulled) -> None:
    report = push(tool, pulled)
    old = str(pulled.dataset.images[0].tool_id)
    mode_of(tool).rename_images(report.review_project, {old: "4711"})
    assert "4711" in {review.tool_id for review in tool.open_reviews(report.review_project)}
    renamed = next(t for t in tasks(tool, report) if t["data"]["sparsedet_source_task"] == 4711)
    assert renamed["data"]["image"]
