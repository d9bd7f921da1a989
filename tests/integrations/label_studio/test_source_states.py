"""Merging into images with unsaved changes, drafts or several annotations; on a real server."""

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.drafts.draft_tasks import signed
from sparsedet.reviews import Changes, changes
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import (
    boxes_of,
    counts,
    merge_first,
    push,
    review,
)
from tests.integrations.label_studio.samples import NONE_OF_THE_MINED, mined_boxes

pytestmark = pytest.mark.label_studio


def test_unsaved_changes_of_people_are_not_lost(tool: LabelStudioTool, pulled: Pulled) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    before = pushed.annotation(0)
    where = f"api/tasks/{before['task']}/annotations/{before['id']}/drafts"
    tool.connection.post_json(where, {"result": [], "lead_time": 0}, "saving a draft")
    for write in (False, True):
        (image,) = pushed.merge(write=write)
        assert image.state is not None
        assert image.state.blocked == "admin@example.com has unsaved changes on its annotation"
        assert (counts(image), image.version) == ((4, 0, 0), None)
    assert pushed.annotation(0) == before
    assert not pushed.kept
    drafts = tool.connection.get_json(f"api/tasks/{before['task']}/drafts", {}, "looking")
    assert len(drafts) == 1


def test_an_untouched_draft_of_ours_blocks_nothing(tool: LabelStudioTool, pulled: Pulled) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    before = pushed.annotation(0)
    where = f"api/tasks/{before['task']}/annotations/{before['id']}/drafts"
    mined = {**before["result"][0], "id": "m", "score": 0.5}
    body = {"result": signed(before["result"], [mined]), "lead_time": 0}
    tool.connection.post_json(where, body, "pushing a draft")
    assert merge_first(pushed).version
    assert "mined-orange-1" in pushed.results(0)


def test_a_merge_changes_the_annotation_that_the_pull_reads(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    image = pulled.dataset.images[0].id
    (first,) = tool.connection.client.annotations.list(image)
    colleague.patch_json(f"api/annotations/{first.id}/", {"ground_truth": True}, "starring")
    moved = {**(first.result or [])[0], "id": "theirs"}
    body = {"result": [moved]}
    colleague.post_json(f"api/tasks/{image}/annotations/", body, "annotating")
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, human_parcel=None, **NONE_OF_THE_MINED)
    applied = merge_first(pushed)
    assert boxes_of(applied.state) == {"human-orange", "human-parcel"}
    ours, theirs = pushed.annotations(0)
    assert [r["id"] for r in ours["result"]] == ["human-orange"]
    assert theirs["result"] == [moved]
    assert theirs["updated_by"] != ours["updated_by"]


def test_a_deleted_task_and_a_label_that_is_gone(tool: LabelStudioTool, pulled: Pulled) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    review(tool, pushed, 1)
    client = tool.connection.client
    client.tasks.delete(pushed.images[0].tool_id)
    verdicts = pushed.verdicts()
    xml = client.projects.get(int(pushed.project)).label_config or ""
    client.projects.update(int(pushed.project), label_config=xml.replace('"orange"', '"citrus"'))
    gone, left_out = tool.merge(
        pushed.project,
        {image: lambda state: changes(state, verdicts[state.tool_id]) for image in verdicts},
        sizes=pushed.sizes,
        keep=pushed.kept.append,
    )
    assert (gone.state, gone.changes) == (None, Changes())
    assert set(left_out.changes.unknown.values()) == {"orange"}
    assert {d.region.category for d in left_out.changes.added.values()} <= {"parcel"}
    assert not list(tool.merge(pushed.project, {}, sizes={}, keep=None))
