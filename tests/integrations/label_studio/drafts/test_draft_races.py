"""Draft mode on a real server: people's drafts and saves win over a push."""

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.offers import GONE
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    CHANGED,
    IMAGES,
    POLYGON,
    add_draft,
    by_editor,
    drafts,
    predictions,
    push,
    save,
    star,
    tasks,
)
from tests.integrations.label_studio.samples import FOUND_BY_MODEL, mined_boxes

pytestmark = pytest.mark.label_studio


def test_a_draft_that_a_person_has_is_left_alone(tool: LabelStudioTool, pulled: Pulled) -> None:
    first, second, third = tasks(tool, pulled)
    add_draft(tool.connection, first, [POLYGON])
    path = "api/drafts/{}/"
    push(tool, pulled)
    for task, change in ((second, by_editor), (third, list)):  # with and without the mark
        ((draft,),) = [t["drafts"] for t in tasks(tool, pulled) if t["id"] == task["id"]]
        moved = change(draft["result"])
        moved[0]["value"] = {**moved[0]["value"], "x": 1.5}
        tool.connection.patch_json(path.format(draft["id"]), {"result": moved}, "moving")
    before = drafts(tool, pulled)
    new = [
        MinedBox(f"new-{image.id}", image.id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
        for image in pulled.dataset.images
    ]
    report = push(tool, pulled, new)
    assert (report.images, report.boxes, report.created) == (0, 0, 0)
    reason = "has an unsaved draft; save or discard it and push again"
    assert report.skipped == {str(task["id"]): reason for task in (first, second, third)}
    assert drafts(tool, pulled) == before


def test_a_colleagues_draft_on_the_annotation_stops_ours(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    task = tasks(tool, pulled)[0]
    add_draft(colleague, task, [POLYGON])
    report = push(tool, pulled)
    assert report.created == IMAGES - 1
    assert report.skipped.keys() == {str(task["id"])}
    assert "a draft of colleague@example.com" in report.skipped[str(task["id"])]


def test_an_image_whose_boxes_changed_since_the_pull_is_skipped(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    first, second, third = tasks(tool, pulled)
    save(colleague, first["annotations"][0]["id"], first["annotations"][0]["result"][:1])

    def annotate_meanwhile(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 0):
            save(colleague, second["annotations"][0]["id"], [POLYGON])

    report = push(tool, pulled, progress=annotate_meanwhile)
    assert (report.images, report.boxes, report.created) == (1, len(FOUND_BY_MODEL), 1)
    assert report.skipped == {str(first["id"]): CHANGED, str(second["id"]): CHANGED}
    assert [draft["task"] for draft in drafts(tool, pulled)] == [third["id"]]


def test_a_draft_is_withdrawn_when_somebody_saves_while_it_is_written(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = tasks(tool, pulled)
    own = first["annotations"][0]
    post = tool.connection.post_json

    def save_before(path: str, body: object, what: str) -> object:
        if f"/annotations/{own['id']}/drafts" in path:
            save(colleague, own["id"], [*own["result"], POLYGON])
        return post(path, body, what)

    monkeypatch.setattr(tool.connection, "post_json", save_before)
    report = push(tool, pulled)
    assert (report.created, report.skipped) == (IMAGES - 1, {str(first["id"]): CHANGED})
    assert [draft["task"] for draft in drafts(tool, pulled)] == [task["id"] for task in others]


def test_an_annotation_saved_without_a_change_or_starred_is_none(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    first, second, _ = tasks(tool, pulled)
    save(colleague, first["annotations"][0]["id"], first["annotations"][0]["result"])
    star(colleague, second["annotations"][0]["id"])
    report = push(tool, pulled)
    assert (report.images, report.skipped) == (IMAGES, {})


def test_a_draft_that_is_touched_during_the_push_is_left_alone(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    mine = drafts(tool, pulled)[0]

    def touch(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 0):
            body = {"result": [POLYGON]}
            tool.connection.patch_json(f"api/drafts/{mine['id']}/", body, "drawing")

    new = MinedBox("new", pulled.dataset.images[0].id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
    report = push(tool, pulled, [new], progress=touch)
    assert report.created == 0
    assert report.skipped.keys() == {str(mine["task"])}
    assert drafts(tool, pulled)[0]["result"] == [POLYGON]


def test_a_task_that_is_deleted_during_the_push_is_gone(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    first, *others = (str(task["id"]) for task in tasks(tool, pulled))

    def delete_meanwhile(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 0):
            tool.connection.delete(f"api/tasks/{first}/", "deleting")

    report = push(tool, pulled, progress=delete_meanwhile)
    assert (report.images, report.skipped) == (IMAGES - 1, {first: GONE})
    assert report.gone == {first}
    assert [str(draft["task"]) for draft in drafts(tool, pulled)] == others


def test_a_task_that_somebody_begins_during_the_push_keeps_its_prediction(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    push(tool, half_annotated)
    _, bare = tasks(tool, half_annotated)

    def begin(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 0):
            path = f"api/tasks/{bare['id']}/drafts"
            tool.connection.post_json(path, {"result": [POLYGON], "lead_time": 3.5}, "drawing")

    fewer = [b for b in mined_boxes(half_annotated.dataset) if "wrong" not in b.region_id]
    report = push(tool, half_annotated, fewer, version="run-2", progress=begin)
    assert (report.images, report.skipped) == (1, {str(bare["id"]): CHANGED})
    assert [p["model_version"] for p in predictions(tool, half_annotated)] == ["run-1"]
