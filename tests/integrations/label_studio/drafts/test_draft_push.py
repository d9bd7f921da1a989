"""Draft mode on a real server: the server's content after a push."""

from dataclasses import replace

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.drafts.draft_plan import GONE, SEVERAL
from sparsedet.integrations.label_studio.drafts.draft_push import VIEW_TITLE
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    BOXES,
    IMAGES,
    POLYGON,
    add_draft,
    drafts,
    mode_of,
    predictions,
    pull_again,
    push,
    save,
    star,
    tasks,
)
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    complete_mark,
    mined_boxes,
)

pytestmark = pytest.mark.label_studio


def test_a_draft_holds_the_annotation_as_it_is_and_the_mined_boxes(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    annotation = tasks(tool, pulled)[0]["annotations"][0]
    drawn = [*annotation["result"], POLYGON, complete_mark()]
    save(tool.connection, annotation["id"], drawn)
    pulled = pull_again(tool, pulled)
    before = [task["annotations"] for task in tasks(tool, pulled)]

    report = push(tool, pulled)
    assert (report.images, report.boxes, report.created) == (IMAGES, BOXES, IMAGES)
    assert (report.review_project, report.skipped) == (pulled.project, {})
    first, *others = drafts(tool, pulled)
    assert first["annotation"] == annotation["id"]
    assert first["result"][: len(drawn)] == drawn
    assert len(others) == IMAGES - 1
    for number, draft in enumerate([first, *others], start=1):
        mined = {r["id"]: r for r in draft["result"] if r["id"].startswith("mined")}
        assert {id: region["score"] for id, region in mined.items()} == {
            f"{name}-{number}": score for name, (_, _, score) in FOUND_BY_MODEL.items()
        }
        assert {region["origin"] for region in mined.values()} == {"prediction"}
        assert DRAWN_BY_PEOPLE.keys() < {region["id"] for region in draft["result"]}
    # The annotations themselves are left alone.
    assert [task["annotations"] for task in tasks(tool, pulled)] == before
    assert pull_again(tool, pulled).dataset == pulled.dataset


def test_a_second_push_changes_nothing(tool: LabelStudioTool, pulled: Pulled) -> None:
    first = push(tool, pulled)
    before = drafts(tool, pulled)
    assert push(tool, pulled) == replace(first, created=0)
    assert drafts(tool, pulled) == before


def test_an_interrupted_push_is_completed_by_the_next(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(tool, pulled, progress=interrupt)
    assert len(drafts(tool, pulled)) == 1
    report = push(tool, pulled)
    assert (report.images, report.boxes, report.created) == (IMAGES, BOXES, IMAGES - 1)
    assert [len(task["drafts"]) for task in tasks(tool, pulled)] == [1] * IMAGES


def test_new_boxes_join_those_of_our_untouched_draft(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)
    before = drafts(tool, pulled)
    new = MinedBox("new", pulled.dataset.images[0].id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
    report = push(tool, pulled, [new], version="run-2")
    assert (report.images, report.boxes, report.created) == (1, 1, 1)
    first, *others = drafts(tool, pulled)
    assert others == before[1:]
    assert first["id"] == before[0]["id"]
    ids = [region["id"] for region in first["result"]]
    assert sorted(ids) == sorted(["new", *(region["id"] for region in before[0]["result"])])
    assert push(tool, pulled, [new], version="run-2").created == 0


def test_a_draft_lies_on_the_annotation_that_a_pull_reads(
    tool: LabelStudioTool,
    label_studio: LocalServer,
    pulled: Pulled,
    colleague: Connection,
) -> None:
    task = tasks(tool, pulled)[0]
    own = task["annotations"][0]["id"]
    newer = colleague.client.annotations.create(
        task["id"], result=task["annotations"][0]["result"][:1], ground_truth=True
    )
    tool.connection.client.annotations.create(task["id"], result=[], was_cancelled=True)
    report = push(tool, pull_again(tool, pulled))
    assert report.created == IMAGES
    assert drafts(tool, pulled)[0]["annotation"] == newer.id != own
    # The older one is starred now: the draft moves there.
    star(tool.connection, own)
    assert push(tool, pull_again(tool, pulled)).created == 1
    assert drafts(tool, pulled)[0]["annotation"] == own
    assert len(drafts(tool, pulled)) == IMAGES

    path = f"api/annotations/{own}/"
    tool.connection.patch_json(path, {"ground_truth": False}, "unstarring")
    union = LabelStudioTool(
        label_studio.url, ToolOptions(annotations="union"), api_key=label_studio.api_key
    )
    report = push(union, pull_again(tool, pulled))
    assert report.skipped == {str(task["id"]): SEVERAL}


def test_stale_drafts_of_ours_are_withdrawn_or_made_again(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    first, second, _ = tasks(tool, pulled)
    push(tool, pulled)
    old = drafts(tool, pulled)[:2]
    for task, draft in zip((first, second), old, strict=True):
        annotation = task["annotations"][0]
        # Saved in the moment in which the draft was written: the server deletes earlier ones only.
        save(tool.connection, annotation["id"], annotation["result"][:1])
        add_draft(tool.connection, task, draft["result"])
    assert len(drafts(tool, pulled)) == IMAGES
    mine = [box for box in mined_boxes(pulled.dataset) if box.region_id.endswith("-1")]
    report = push(tool, pull_again(tool, pulled), mine)
    assert (report.created, report.deleted) == (1, 1)
    renewed, kept = drafts(tool, pulled)
    assert renewed["task"] == first["id"]
    assert [r["id"] for r in renewed["result"] if "mined" not in r["id"]] == [
        first["annotations"][0]["result"][0]["id"]
    ]
    assert kept["task"] == tasks(tool, pulled)[2]["id"]
    # Preparing for a training withdraws them too.
    save(tool.connection, first["annotations"][0]["id"], [POLYGON])
    add_draft(tool.connection, first, renewed["result"])
    mode_of(tool).prepare(pulled.project)
    assert [draft["task"] for draft in drafts(tool, pulled)] == [kept["task"]]


def test_withdrawn_boxes_leave_untouched_drafts(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    push(tool, half_annotated)
    withdrawn = frozenset({"mined-wrong-1", "mined-wrong-2", "mined-moved-2"})
    left = [box for box in mined_boxes(half_annotated.dataset) if box.region_id not in withdrawn]
    dry = push(tool, half_annotated, left, withdrawn=withdrawn, dry_run=True)
    assert len(drafts(tool, half_annotated)[0]["result"]) == len(DRAWN_BY_PEOPLE) + 4
    report = push(tool, half_annotated, left, withdrawn=withdrawn)
    assert replace(report, deleted=0) == replace(dry, deleted=0)
    assert (report.boxes, report.created, report.deleted) == (5, 2, 1)
    (draft,) = drafts(tool, half_annotated)
    assert len(draft["result"]) == len(DRAWN_BY_PEOPLE) + 3
    (prediction,) = predictions(tool, half_annotated)
    assert {r["id"] for r in prediction["result"]} == {"mined-orange-2", "mined-parcel-2"}
    every = frozenset(box.region_id for box in mined_boxes(half_annotated.dataset))
    report = push(tool, half_annotated, [], withdrawn=every)
    assert (report.boxes, report.deleted) == (0, 2)
    assert (drafts(tool, half_annotated), predictions(tool, half_annotated)) == ([], [])


def test_images_that_the_project_no_longer_has_are_skipped(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    first = str(tasks(tool, pulled)[0]["id"])
    tool.connection.client.tasks.delete(first)
    dry = push(tool, pulled, dry_run=True)
    assert drafts(tool, pulled) == []
    report = push(tool, pulled)
    assert (report.created, report.skipped, report.gone) == (
        IMAGES - 1,
        {first: GONE},
        frozenset({first}),
    )
    assert replace(dry, url=report.url) == report


def test_a_task_without_annotation_gets_a_prediction(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    report = push(tool, half_annotated)
    assert (report.images, report.created, report.skipped) == (2, 2, {})
    assert len(drafts(tool, half_annotated)) == 1
    (prediction,) = predictions(tool, half_annotated)
    assert prediction["model_version"] == "run-1"
    assert {r["id"] for r in prediction["result"]} == {f"{name}-2" for name in FOUND_BY_MODEL}
    project = tool.connection.client.projects.get(int(half_annotated.project))
    assert (project.model_version, project.show_collab_predictions) == ("run-1", True)
    assert push(tool, half_annotated) == replace(report, created=0)
    assert [p["id"] for p in predictions(tool, half_annotated)] == [prediction["id"]]

    # Other boxes, under the same version and under the next one of ours.
    fewer = [b for b in mined_boxes(half_annotated.dataset) if "wrong" not in b.region_id]
    assert push(tool, half_annotated, fewer).created == 1
    assert [len(p["result"]) for p in predictions(tool, half_annotated)] == [3]
    assert push(tool, half_annotated, fewer, version="run-2").created == 1
    assert [p["model_version"] for p in predictions(tool, half_annotated)] == ["run-2"]
    project = tool.connection.client.projects.get(int(half_annotated.project))
    assert project.model_version == "run-2"


def test_a_project_that_shows_another_model_is_left_so(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    number = int(half_annotated.project)
    annotated, bare = tasks(tool, half_annotated)
    client = tool.connection.client
    client.predictions.create(task=annotated["id"], result=[POLYGON], model_version="theirs")
    client.projects.update(number, model_version="theirs")
    report = push(tool, half_annotated)
    assert (report.images, report.created) == (1, 1)
    assert report.skipped.keys() == {str(bare["id"])}
    assert "the project shows the predictions of 'theirs'" in report.skipped[str(bare["id"])]
    assert client.projects.get(number).model_version == "theirs"
    assert len(predictions(tool, half_annotated)) == 1


def test_the_report_leads_to_a_view_of_what_waits(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    number = int(half_annotated.project)
    report = push(tool, half_annotated)
    views = tool.connection.client.views.list(project=number)
    assert [view.data["title"] for view in views] == ["Default", VIEW_TITLE]
    assert report.url == f"{tool.url}/projects/{number}/data?tab={views[1].id}"
    assert push(tool, half_annotated).url == report.url

    def waiting() -> list[int]:
        answer = tool.connection.get_json("api/tasks/", {"view": views[1].id}, "listing")
        return [int(task["id"]) for task in answer["tasks"]]

    annotated, bare = tasks(tool, half_annotated)
    assert waiting() == [annotated["id"], bare["id"]]
    save(tool.connection, annotated["annotations"][0]["id"], [POLYGON])
    assert waiting() == [bare["id"]]
    tool.connection.client.annotations.create(bare["id"], result=[POLYGON])
    assert waiting() == []
