"""Withdrawing in draft mode, and ownership; on a real server."""

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.drafts.draft_push import VIEW_TITLE
from sparsedet.integrations.label_studio.project_records import read_project, update_project
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    IMAGES,
    POLYGON,
    drafts,
    mode_of,
    predictions,
    push,
    save,
    tasks,
)
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, mined_boxes

pytestmark = pytest.mark.label_studio


def every(pulled: Pulled) -> frozenset[str]:
    return frozenset(box.region_id for box in mined_boxes(pulled.dataset))


def views(tool: LabelStudioTool, pulled: Pulled) -> list[str]:
    found = tool.connection.client.views.list(project=int(pulled.project))
    return [view.data["title"] for view in found]


def test_undo_takes_back_untouched_drafts_and_predictions(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    before = [task["annotations"] for task in tasks(tool, half_annotated)]
    report = push(tool, half_annotated)
    mode, project = mode_of(tool), half_annotated.project
    dry = mode.undo(project, project, every(half_annotated), dry_run=True)
    assert len(drafts(tool, half_annotated)) == 1
    done = mode.undo(project, project, every(half_annotated))
    assert done == dry
    assert (done.drafts, done.predictions, done.views, done.kept) == (1, 1, 1, {})
    assert done.region_ids == every(half_annotated)
    assert (drafts(tool, half_annotated), predictions(tool, half_annotated)) == ([], [])
    assert views(tool, half_annotated) == ["Default"]
    record = read_project(tool.connection, int(project))
    assert (record.model_version, record.shows_predictions) == ("", True)
    assert [task["annotations"] for task in tasks(tool, half_annotated)] == before
    again = mode.undo(project, project, every(half_annotated))
    assert (again.drafts, again.predictions, again.region_ids) == (0, 0, done.region_ids)
    assert push(tool, half_annotated).created == report.created


def test_a_tab_of_people_with_our_title_stays(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    project = half_annotated.project
    data = {"title": VIEW_TITLE, "type": "list", "target": "tasks", "ordering": ["tasks:id"]}
    body = {"project": int(project), "data": data}
    theirs = tool.connection.post_json("api/dm/views/", body, "adding a tab")["id"]
    report = push(tool, half_annotated)
    assert views(tool, half_annotated) == [VIEW_TITLE, VIEW_TITLE]
    assert not report.url.endswith(f"?tab={theirs}")
    done = mode_of(tool).undo(project, project, every(half_annotated))
    assert done.views == 1
    (left,) = tool.connection.client.views.list(project=int(project))
    assert left.id == theirs


def test_a_project_that_hid_predictions_hides_them_again(
    tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    connection, project = tool.connection, half_annotated.project
    update_project(connection, int(project), {"show_collab_predictions": False}, "hiding")
    push(tool, half_annotated)
    # What people see by now is ours, not what they had chosen.
    assert read_project(connection, int(project)).shows_predictions
    assert push(tool, half_annotated).created == 0
    (prediction,) = predictions(tool, half_annotated)
    some = frozenset(r["id"] for r in prediction["result"][1:])
    mode = mode_of(tool)
    mode.undo(project, project, some)
    assert read_project(connection, int(project)).shows_predictions
    mode.undo(project, project, every(half_annotated))
    after = read_project(connection, int(project))
    assert (after.shows_predictions, after.model_version) == (False, "")


def test_undo_leaves_what_people_have_done_and_other_boxes(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    touched, saved, _ = tasks(tool, pulled)
    theirs = [POLYGON, *touched["drafts"][0]["result"]]
    path = f"api/drafts/{touched['drafts'][0]['id']}/"
    tool.connection.patch_json(path, {"result": theirs}, "drawing")
    save(tool.connection, saved["annotations"][0]["id"], saved["drafts"][0]["result"])
    taken = every(pulled) - {"mined-orange-3"}
    done = mode_of(tool).undo(pulled.project, pulled.project, taken)
    assert (done.drafts, done.views) == (1, 0)
    assert done.kept == {str(touched["id"]): "somebody has changed its draft; save or discard it"}
    assert done.region_ids == {"mined-parcel-3", "mined-moved-3", "mined-wrong-3"}
    left, changed = drafts(tool, pulled)
    assert left["result"] == theirs
    assert {r["id"] for r in changed["result"]} == {*DRAWN_BY_PEOPLE, "mined-orange-3"}
    assert VIEW_TITLE in views(tool, pulled)
    # The rest of the draft is still recognized as ours.
    done = mode_of(tool).undo(pulled.project, pulled.project, frozenset({"mined-orange-3"}))
    assert (done.drafts, len(drafts(tool, pulled))) == (1, 1)


def test_an_undo_that_was_cut_off_is_completed(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)

    def interrupt(what: str, done: int, total: int) -> None:
        if (what, done) == ("withdrawing drafts", 1):
            raise KeyboardInterrupt

    mode, project = mode_of(tool), pulled.project
    with pytest.raises(KeyboardInterrupt):
        mode.undo(project, project, every(pulled), progress=interrupt)
    assert len(drafts(tool, pulled)) == IMAGES - 1
    assert mode.undo(project, project, every(pulled)).region_ids == every(pulled)
    assert (drafts(tool, pulled), views(tool, pulled)) == ([], ["Default"])


def test_another_workspace_is_refused_until_it_is_taken_over(
    label_studio: LocalServer, tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    ours, theirs = (
        LabelStudioTool(label_studio.url, ToolOptions(owner=owner), api_key=label_studio.api_key)
        for owner in ("ab12", "cd34")
    )
    assert push(tool, half_annotated).created == 2
    assert push(ours, half_annotated).created == 1  # a draft without a mark becomes ours
    for refused in (
        lambda: mode_of(theirs).prepare(half_annotated.project),
        lambda: push(theirs, half_annotated),
        lambda: push(theirs, half_annotated, dry_run=True),
        lambda: theirs.push_modes["review-project"].prepare(half_annotated.project),
    ):
        with pytest.raises(ToolError, match=r"another workspace .*workspace=ab12.*--take-over"):
            refused()
    mode_of(theirs).prepare(half_annotated.project, take_over=True)
    assert drafts(tool, half_annotated) == []
    assert push(theirs, half_annotated).created >= 1
    assert "workspace=cd34" in str(drafts(tool, half_annotated))
