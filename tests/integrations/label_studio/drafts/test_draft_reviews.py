"""Draft mode on a real server: reading reviews."""

from dataclasses import replace

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.drafts.draft_plan import JUDGED
from sparsedet.integrations.label_studio.drafts.draft_tasks import is_signed, signed
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import decide
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    CHANGED,
    IMAGES,
    POLYGON,
    by_editor,
    drafts,
    judged,
    mode_of,
    place,
    predictions,
    pull_again,
    push,
    pushed_images,
    reviewed,
    save,
    star,
    tasks,
    without,
)
from tests.integrations.label_studio.samples import (
    FOUND_BY_MODEL,
    complete_mark,
    mined_boxes,
    rectangle,
)

pytestmark = pytest.mark.label_studio


def test_a_saved_draft_gives_accepted_edited_and_rejected(
    tool: LabelStudioTool, pulled: Pulled, label_studio: LocalServer
) -> None:
    first = tasks(tool, pulled)[0]["annotations"][0]
    save(tool.connection, first["id"], [*first["result"], POLYGON])
    pulled = pull_again(tool, pulled)
    push(tool, pulled)
    assert reviewed(tool, pulled) == []  # the drafts wait
    draft = drafts(tool, pulled)[0]
    changed = without(by_editor(draft["result"], mined_moved_1=50.0), "mined-wrong-1")
    before = mode_of(tool).review_state(pulled.project)
    assert mode_of(tool).review_state(pulled.project) == before
    save(tool.connection, first["id"], [*changed, complete_mark()])

    assert mode_of(tool).review_state(pulled.project) != before
    (image,) = reviewed(tool, pulled)
    assert image.tool_id == str(draft["task"])
    assert judged(image) == {f"{name}-1" for name in FOUND_BY_MODEL}
    assert (image.reviewer, image.seconds, image.complete) == (label_studio.email, None, True)
    verdict = decide([image], pushed_images(pulled)[0].boxes)
    outcomes = {id: (d.fate, d.origin) for id, d in verdict.decisions.items()}
    assert outcomes == {
        "mined-orange-1": ("kept", "accepted"),
        "mined-parcel-1": ("kept", "accepted"),
        "mined-moved-1": ("kept", "edited"),
        "mined-wrong-1": ("deleted", "human"),
    }
    waiting = {str(draft["task"]) for draft in drafts(tool, pulled)}
    assert place(tool, pulled).waiting == waiting
    assert len(waiting) == IMAGES - 1
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
    assert judged(image) == {f"{name}-2" for name in FOUND_BY_MODEL}
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
    assert judged(image) == {f"{name}-2" for name in FOUND_BY_MODEL}
    assert {r.region_id for r in image.regions} == judged(image) - {"mined-wrong-2"}
    assert (image.reviewer, image.seconds) == ("colleague@example.com", 7.5)


def test_an_annotation_resumed_from_a_draft_judges_the_prediction(
    tool: LabelStudioTool, half_annotated: Pulled, colleague: Connection
) -> None:
    push(tool, half_annotated)
    (prediction,) = predictions(tool, half_annotated)
    bare = tasks(tool, half_annotated)[1]["id"]
    body = {"result": without(by_editor(prediction["result"]), "mined-wrong-2"), "lead_time": 2.0}
    draft = colleague.post_json(f"api/tasks/{bare}/drafts", body, "drawing")
    # The editor forgets the prediction when the person leaves the task.
    body |= {"draft_id": draft["id"], "parent_prediction": None}
    colleague.post_json(f"api/tasks/{bare}/annotations/", body, "submitting")
    (image,) = reviewed(tool, half_annotated)
    assert judged(image) == {f"{name}-2" for name in FOUND_BY_MODEL}
    assert {r.region_id for r in image.regions} == judged(image) - {"mined-wrong-2"}


def test_a_star_or_a_discarded_draft_rejects_nothing(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)
    first, second, third = tasks(tool, pulled)
    star(tool.connection, first["annotations"][0]["id"])  # the server deletes the draft
    kept = without(by_editor(second["drafts"][0]["result"]), "mined-wrong-2")
    save(tool.connection, second["annotations"][0]["id"], kept)
    star(tool.connection, second["annotations"][0]["id"])
    # Every mined box is deleted in the editor: time is added.
    save(tool.connection, third["annotations"][0]["id"], third["annotations"][0]["result"])
    found = {review.tool_id: judged(review) for review in reviewed(tool, pulled)}
    assert found == {
        str(second["id"]): {f"{name}-2" for name in FOUND_BY_MODEL},
        str(third["id"]): {f"{name}-3" for name in FOUND_BY_MODEL},
    }
    assert place(tool, pulled).waiting == frozenset()
    # The starred image's boxes go up again; what may have been rejected does not.
    report = push(tool, pulled)
    assert (report.created, report.skipped) == (
        1,
        {str(second["id"]): CHANGED, str(third["id"]): JUDGED},
    )
    assert len(reviewed(tool, pulled)) == 2


def test_boxes_that_nobody_was_shown_are_not_rejected(
    tool: LabelStudioTool,
    pulled: Pulled,
    label_studio: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = (
        LabelStudioTool(label_studio.url, ToolOptions(owner=owner), api_key=label_studio.api_key)
        for owner in ("ab12", "cd34")
    )
    first, second, third = tasks(tool, pulled)
    push(ours, pulled)
    # Opened before the push: the editor does not show the draft.
    own = third["annotations"][0]
    save(tool.connection, own["id"], own["result"], shows_draft=False)
    # Another workspace takes over; its drafts are saved without their boxes.
    mode_of(theirs).prepare(pulled.project, take_over=True)
    names = {box.region_id: f"theirs-{box.region_id}" for box in mined_boxes(pulled.dataset)}
    boxes = [replace(b, region_id=names[b.region_id]) for b in mined_boxes(pulled.dataset)]
    push(theirs, pulled, boxes)
    save(tool.connection, first["annotations"][0]["id"], first["annotations"][0]["result"])
    # The draft is taken back, then the annotation saved with a box of ours that a merge brought.
    mode_of(theirs).undo(pulled.project, pulled.project, frozenset(names.values()))
    result = [*second["annotations"][0]["result"], rectangle("orange", id="mined-orange-2")]
    save(tool.connection, second["annotations"][0]["id"], result)

    (review,) = reviewed(ours, pulled)
    assert (review.tool_id, judged(review)) == (str(second["id"]), {"mined-orange-2"})
    assert place(ours, pulled) == PlaceReviews([review])
    assert "3 images were saved, but not from their drafts" in caplog.text
    theirs_pushed = pushed_images(pulled, boxes)
    assert [r.tool_id for r in reviewed(theirs, pulled, theirs_pushed)] == [str(first["id"])]
    # They go up again.
    report = push(ours, pull_again(ours, pulled))
    assert (report.created, report.skipped) == (IMAGES, {})


def test_a_box_that_cannot_be_read_or_was_withdrawn_is_not_judged(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    task = tasks(tool, pulled)[0]
    result = by_editor(task["drafts"][0]["result"])
    for region in result:
        if region["id"] == "mined-orange-1":
            region["value"]["rectanglelabels"] = ["orange", "parcel"]
        if region["id"] == "mined-parcel-1":
            region["value"]["rectanglelabels"] = ["a label that left the config"]
    save(tool.connection, task["annotations"][0]["id"], without(result, "mined-moved-1"))
    first, *others = pushed_images(pulled)
    first = replace(first, withdrawn=frozenset({"mined-moved-1"}))
    (image,) = reviewed(tool, pulled, [first, *others])
    assert judged(image) == {"mined-wrong-1"}
    assert not {"mined-orange-1", "mined-parcel-1"} & {r.region_id for r in image.regions}


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
    assert judged(image) == set(rejected)
    draft = drafts(tool, pulled)[0]
    save(tool.connection, task["annotations"][0]["id"], by_editor(draft["result"]))
    assert [judged(image) for image in reviewed(tool, pulled, both)] == [{*rejected, "new"}]


def test_what_others_save_later_takes_no_review_back(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    push(tool, pulled)
    annotation = tasks(tool, pulled)[0]["annotations"][0]
    save(tool.connection, annotation["id"], annotation["result"])
    later = pull_again(tool, pulled)
    new = [MinedBox("new", later.dataset.images[0].id, 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)]
    push(tool, later, new)
    save(colleague, annotation["id"], annotation["result"])
    both = [pushed_images(pulled)[0], pushed_images(later, new)[0]]
    assert [judged(image) for image in reviewed(tool, pulled, both)] == [
        {f"{name}-1" for name in FOUND_BY_MODEL}
    ]
    assert place(tool, pulled, both).offers == frozenset()


def test_the_mark_shows_which_lists_were_changed() -> None:
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
