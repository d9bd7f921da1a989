"""Draft mode against a real server: what stands there after a push, and what reviews tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.connection import Connection
from sparsedet.integrations.label_studio.draft_outcomes import read_reviewed_drafts
from sparsedet.integrations.label_studio.draft_tasks import MARK, is_signed, signed
from sparsedet.integrations.label_studio.drafts import VIEW_TITLE, push_drafts
from sparsedet.integrations.label_studio.reading import export_tasks
from sparsedet.integrations.label_studio.seeding import seed_project
from sparsedet.integrations.label_studio.server import LocalServer
from sparsedet.ledger import judge
from sparsedet.mining.mined import MinedBox
from sparsedet.tool import PushedImage, PushReport, ReviewedImage
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    mined_boxes,
    write_images,
)

pytestmark = pytest.mark.label_studio

IMAGES = 3
BOXES = IMAGES * len(FOUND_BY_MODEL)
CHANGED = "annotated since the pull; pull and mine again"
POLYGON = {
    "id": "polygon",
    "type": "polygonlabels",
    "from_name": "outline",
    "to_name": "image",
    "value": {"points": [[1, 2], [3.25, 4], [5, 1]], "closed": True, "polygonlabels": ["leaf"]},
}
COMPLETE = {
    "id": "mark",
    "type": "choices",
    "from_name": "sparsedet_complete",
    "to_name": "image",
    "value": {"choices": ["Every object has a box"]},
}


@pytest.fixture(scope="module")
def colleague(label_studio: LocalServer) -> Connection:
    """A second account on the server."""
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as browser:
        browser.get("/user/signup/")
        form = {"email": "colleague@example.com", "password": "long-enough-1"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        browser.post("/user/signup/", data=form).raise_for_status()
        token = browser.get("/api/current-user/token").json()["token"]
    return Connection(label_studio.url, token)


@pytest.fixture
def half_annotated(tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest) -> Pulled:
    """Two images, the second of which nobody has annotated."""
    drawn = write_images(tmp_path / "source", count=2)
    drawn = drawn.with_boxes(box for box in drawn.boxes if box.image_id == 1)
    title = request.node.name[:40]
    project = seed_project(tool.connection, title, drawn, tmp_path / "source")
    return Pulled(project, tool.pull(project, tmp_path / "images"), tmp_path)


def push(
    tool: LabelStudioTool,
    pulled: Pulled,
    mined: Sequence[MinedBox] | None = None,
    version: str = "run-1",
    **options: Any,
) -> PushReport:
    boxes = mined_boxes(pulled.dataset) if mined is None else mined
    return push_drafts(
        tool.connection, pulled.project, pulled.dataset, boxes, model_version=version, **options
    )


def pull_again(tool: LabelStudioTool, pulled: Pulled) -> Pulled:
    dataset = tool.pull(pulled.project, pulled.folder / "images")
    return replace(pulled, dataset=dataset)


def tasks(tool: LabelStudioTool, pulled: Pulled) -> list[dict[str, Any]]:
    found = export_tasks(tool.connection, int(pulled.project))
    return sorted((dict(task) for task in found), key=lambda task: int(task["id"]))


def drafts(tool: LabelStudioTool, pulled: Pulled) -> list[dict[str, Any]]:
    """All drafts of the project, in the order of their tasks."""
    return [
        {key: value for key, value in draft.items() if key != "created_ago"}
        for task in tasks(tool, pulled)
        for draft in task["drafts"]
    ]


def predictions(tool: LabelStudioTool, pulled: Pulled) -> list[dict[str, Any]]:
    where: Any = tool.connection.get_json(
        "api/predictions/", {"project": pulled.project}, "counting"
    )
    return list(where)


def by_editor(result: Sequence[Mapping[str, Any]], **moves: float) -> list[dict[str, Any]]:
    """A `result` as the editor sends it: without keys it does not know, boxes moved to `x`."""
    regions = [{k: v for k, v in region.items() if k != MARK} for region in result]
    for region in regions:
        name = str(region["id"]).replace("-", "_")
        if name in moves:
            region["value"] = {**region["value"], "x": moves[name]}
            region["origin"] = "prediction-changed"
    return regions


def without(result: Sequence[Mapping[str, Any]], *ids: str) -> list[dict[str, Any]]:
    return [dict(region) for region in result if region["id"] not in ids]


def save(connection: Connection, annotation: int, result: Sequence[Mapping[str, Any]]) -> None:
    """Press Update."""
    connection.client.annotations.update(annotation, result=[dict(region) for region in result])


def add_draft(
    connection: Connection, task: Mapping[str, Any], result: Sequence[Mapping[str, Any]]
) -> None:
    path = f"api/tasks/{task['id']}/annotations/{task['annotations'][0]['id']}/drafts"
    connection.post_json(path, {"result": result, "lead_time": 3.5}, "drawing")


def pushed_images(pulled: Pulled, mined: Sequence[MinedBox] | None = None) -> list[PushedImage]:
    boxes = mined_boxes(pulled.dataset) if mined is None else mined
    return [
        PushedImage(
            image.tool_id or "",
            image.tool_version,
            frozenset(box.region_id for box in boxes if box.image_id == image.id),
        )
        for image in pulled.dataset.images
    ]


def reviewed(
    tool: LabelStudioTool, pulled: Pulled, pushed: Sequence[PushedImage] | None = None
) -> list[ReviewedImage]:
    images = pushed_images(pulled) if pushed is None else pushed
    return read_reviewed_drafts(tool.connection, pulled.project, images)


def test_a_draft_holds_the_annotation_as_it_is_and_the_mined_boxes(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    annotation = tasks(tool, pulled)[0]["annotations"][0]
    drawn = [*annotation["result"], POLYGON, COMPLETE]
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
    stood = drafts(tool, pulled)
    assert push(tool, pulled) == replace(first, created=0)
    assert drafts(tool, pulled) == stood


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
    stood = drafts(tool, pulled)
    new = MinedBox("new", pulled.dataset.images[0].id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
    report = push(tool, pulled, [new], version="run-2")
    assert (report.images, report.boxes, report.created) == (1, 1, 1)
    first, *others = drafts(tool, pulled)
    assert others == stood[1:]
    assert first["id"] == stood[0]["id"]
    ids = [region["id"] for region in first["result"]]
    assert sorted(ids) == sorted(["new", *(region["id"] for region in stood[0]["result"])])
    assert push(tool, pulled, [new], version="run-2").created == 0


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
    stood = drafts(tool, pulled)
    new = [
        MinedBox(f"new-{image.id}", image.id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
        for image in pulled.dataset.images
    ]
    report = push(tool, pulled, new)
    assert (report.images, report.boxes, report.created) == (0, 0, 0)
    reason = "has a draft of its own; save or discard it and push again"
    assert report.skipped == {str(task["id"]): reason for task in (first, second, third)}
    assert drafts(tool, pulled) == stood


def test_a_colleagues_draft_on_the_annotation_stops_ours(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    task = tasks(tool, pulled)[0]
    add_draft(colleague, task, [POLYGON])
    report = push(tool, pulled)
    assert report.created == IMAGES - 1
    assert report.skipped.keys() == {str(task["id"])}
    assert "a draft of colleague@example.com" in report.skipped[str(task["id"])]


def test_an_image_that_changed_since_the_pull_is_skipped(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    first, second, third = tasks(tool, pulled)
    save(colleague, first["annotations"][0]["id"], first["annotations"][0]["result"])

    def annotate_meanwhile(what: str, done: int, total: int) -> None:
        if (what, done) == ("pushing drafts", 0):
            save(colleague, second["annotations"][0]["id"], [POLYGON])

    report = push(tool, pulled, progress=annotate_meanwhile)
    assert (report.images, report.boxes, report.created) == (1, len(FOUND_BY_MODEL), 1)
    assert report.skipped == {str(first["id"]): CHANGED, str(second["id"]): CHANGED}
    assert [draft["task"] for draft in drafts(tool, pulled)] == [third["id"]]


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
    assert (report.created, report.skipped.keys()) == (0, {str(mine["task"])})
    assert drafts(tool, pulled)[0]["result"] == [POLYGON]


def test_the_accounts_own_annotation_comes_before_a_newer_one(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    task = tasks(tool, pulled)[0]
    colleague.client.annotations.create(task["id"], result=[POLYGON])
    skip = tool.connection.client.annotations.create(task["id"], result=[], was_cancelled=True)
    report = push(tool, pull_again(tool, pulled))
    assert report.created == IMAGES
    own = task["annotations"][0]["id"]
    assert own != skip.id
    assert drafts(tool, pulled)[0]["annotation"] == own


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


def test_a_saved_draft_tells_accepted_edited_and_rejected(
    tool: LabelStudioTool, pulled: Pulled, label_studio: LocalServer
) -> None:
    first = tasks(tool, pulled)[0]["annotations"][0]
    save(tool.connection, first["id"], [*first["result"], POLYGON])
    pulled = pull_again(tool, pulled)
    push(tool, pulled)
    assert reviewed(tool, pulled) == []  # the drafts wait
    draft = drafts(tool, pulled)[0]
    changed = without(by_editor(draft["result"], mined_moved_1=50.0), "mined-wrong-1")
    save(tool.connection, first["id"], [*changed, COMPLETE])

    (image,) = reviewed(tool, pulled)
    assert image.tool_id == str(draft["task"])
    assert image.shown == {f"{name}-1" for name in FOUND_BY_MODEL}
    assert (image.reviewer, image.seconds, image.complete) == (label_studio.email, None, True)
    final = {region.region_id: region for region in image.regions}
    outcomes = {
        name: judge("orange" if category == 1 else "parcel", xyxy, final.get(f"{name}-1"))
        for name, (category, xyxy, _) in FOUND_BY_MODEL.items()
    }
    assert outcomes == {
        "mined-orange": "accepted",
        "mined-parcel": "accepted",
        "mined-moved": "edited",
        "mined-wrong": "rejected",
    }
    (annotation,) = tasks(tool, pulled)[0]["annotations"]
    assert annotation["id"] == first["id"]
    assert POLYGON in annotation["result"]


def test_a_discarded_draft_is_pending(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)
    for draft in drafts(tool, pulled):
        tool.connection.delete(f"api/drafts/{draft['id']}/", "discarding")
    assert reviewed(tool, pulled) == []
    assert push(tool, pulled).created == IMAGES


def test_only_the_account_that_saw_the_draft_can_reject(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    push(tool, pulled)
    first, second, third = tasks(tool, pulled)
    # A colleague saves the annotation: the server throws the draft away with it.
    save(colleague, first["annotations"][0]["id"], first["annotations"][0]["result"])
    # The draft is saved, and a colleague changes the annotation later.
    kept = without(by_editor(second["drafts"][0]["result"]), "mined-wrong-2")
    save(tool.connection, second["annotations"][0]["id"], kept)
    save(colleague, second["annotations"][0]["id"], kept)
    # The annotation is deleted, and another of the same account is the newest again.
    older = third["annotations"][0]
    newer = tool.connection.client.annotations.create(third["id"], result=older["result"])
    pushed = pushed_images(pull_again(tool, pulled))
    assert newer.id is not None
    tool.connection.client.annotations.delete(newer.id)
    tool.connection.delete(f"api/drafts/{third['drafts'][0]['id']}/", "discarding")

    (image,) = reviewed(tool, pulled, [*pushed_images(pulled)[:2], pushed[2]])
    assert image.tool_id == str(second["id"])
    assert image.shown == {"mined-orange-2", "mined-parcel-2", "mined-moved-2"}
    assert image.reviewer == "colleague@example.com"


def test_an_annotation_judges_the_prediction_that_it_started_from(
    tool: LabelStudioTool, half_annotated: Pulled, colleague: Connection
) -> None:
    push(tool, half_annotated)
    (prediction,) = predictions(tool, half_annotated)
    bare = tasks(tool, half_annotated)[1]["id"]
    scratch = colleague.client.annotations.create(bare, result=[POLYGON])
    assert reviewed(tool, half_annotated) == []
    assert scratch.id is not None
    colleague.client.annotations.delete(scratch.id)
    colleague.client.annotations.create(
        bare,
        result=without(by_editor(prediction["result"]), "mined-wrong-2"),
        parent_prediction=prediction["id"],
        lead_time=7.5,
    )
    (image,) = reviewed(tool, half_annotated)
    assert image.shown == {f"{name}-2" for name in FOUND_BY_MODEL}
    assert {r.region_id for r in image.regions} == image.shown - {"mined-wrong-2"}
    assert (image.reviewer, image.seconds) == ("colleague@example.com", 7.5)


def test_an_earlier_review_is_known_while_a_later_draft_waits(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    task = tasks(tool, pulled)[0]
    rejected = [f"{name}-1" for name in FOUND_BY_MODEL]
    kept = without(by_editor(task["drafts"][0]["result"]), *rejected)
    save(tool.connection, task["annotations"][0]["id"], kept)
    later = pull_again(tool, pulled)
    new = [MinedBox("new", later.dataset.images[0].id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)]
    assert push(tool, later, new).created == 1
    both = [pushed_images(pulled)[0], pushed_images(later, new)[0]]
    (image,) = reviewed(tool, pulled, both)
    assert image.shown == set(rejected)
    draft = drafts(tool, pulled)[0]
    save(tool.connection, task["annotations"][0]["id"], by_editor(draft["result"]))
    assert [image.shown for image in reviewed(tool, pulled, both)] == [set(rejected), {"new"}]


def test_the_mark_tells_our_lists_from_changed_ones() -> None:
    mined = [{"id": "a", "value": {"x": 12.5}}, {"id": "b", "value": {"x": 1e-7}}]
    ours = signed([POLYGON, "not a region"], mined)
    assert is_signed(ours)
    assert ours[:2] == [POLYGON, "not a region"]
    assert not is_signed(ours[:-1])
    assert not is_signed([*ours[:-1], {**ours[-1], "value": {"x": 2e-7}}])
    assert not is_signed([POLYGON])
    assert not is_signed([])
    assert not is_signed(None)
    # An annotation that holds a marked region, for whatever reason, can carry a draft again.
    assert is_signed(signed(ours, [{"id": "c"}]))
