"""Draft mode against a real server: what reviews say."""

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.drafts.draft_tasks import is_signed, signed
from sparsedet.ledger import judge
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    IMAGES,
    POLYGON,
    by_editor,
    drafts,
    predictions,
    pull_again,
    push,
    pushed_images,
    reviewed,
    save,
    tasks,
    without,
)
from tests.integrations.label_studio.samples import (
    FOUND_BY_MODEL,
    complete_mark,
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
    save(tool.connection, first["id"], [*changed, complete_mark()])

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
