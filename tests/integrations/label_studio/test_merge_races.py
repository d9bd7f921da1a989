"""Merges while people save: their work wins, and possible losses are reported."""

from typing import Any

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool, source_annotations
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.tool import Replaced
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import boxes_of, counts, merge_first, push, review
from tests.integrations.label_studio.samples import mined_boxes

pytestmark = pytest.mark.label_studio


def test_a_change_during_the_merge_is_planned_for(tool: LabelStudioTool, pulled: Pulled) -> None:
    """What counts is what the server holds just before the write, not the export."""
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0))
    review(tool, pushed, 1, human_orange=(70.0, 230.0, 170.0, 330.0))
    before: list[Any] = []

    def delete_on_the_second(item: Replaced) -> None:
        annotation = pushed.annotation(1)
        tool.connection.client.annotations.update(annotation["id"], result=[])
        before.append(pushed.annotation(1))

    first, second = pushed.merge(keep=delete_on_the_second)
    assert (counts(first), first.version is None) == ((4, 1, 0), False)
    assert set(second.changes.conflicts) == {"human-orange"}
    assert boxes_of(second.state) == set()
    assert [pushed.annotation(1)] == before


def test_a_save_between_our_read_and_our_write_is_reported(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, mined_wrong=None)
    before = pushed.annotation(0)

    def save_as_the_editor_does(item: Replaced) -> None:
        pushed.kept.append(item)
        if len(pushed.kept) == 1:
            drawn = {**before["result"][0], "id": "late"}
            body = {"result": [*before["result"], drawn], "lead_time": 7.5}
            colleague.patch_json(f"api/annotations/{before['id']}/", body, "saving")

    applied = merge_first(pushed, save_as_the_editor_does)
    assert (counts(applied), applied.overtaken) == ((3, 0, 0), "")
    assert len(pushed.kept) == 2, "kept once more, with what was saved meanwhile"
    assert {"late", "wrong"} - {r["id"] for r in pushed.annotation(0)["result"]} == {"wrong"}
    assert "late" in {r["id"] for r in pushed.kept[1].content["result"]}


def test_a_save_that_reaches_the_server_just_before_ours_is_reported(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, mined_wrong=None)
    before = pushed.annotation(0)
    save = source_annotations._Source._save

    def be_later(*arguments: Any, **more: Any) -> Any:
        drawn = {**before["result"][0], "id": "late"}
        body = {"result": [*before["result"], drawn], "lead_time": 7.5}
        colleague.patch_json(f"api/annotations/{before['id']}/", body, "saving")
        return save(*arguments, **more)

    monkeypatch.setattr(source_annotations._Source, "_save", be_later)
    applied = merge_first(pushed)
    assert counts(applied) == (3, 0, 0)
    assert not pushed.written
    url = f"{tool.url}/projects/{pushed.project}/data?task={pushed.images[0].tool_id}"
    assert applied.overtaken.startswith("somebody saved it just before")
    assert applied.overtaken.endswith(url)
    (kept,) = pushed.kept
    assert kept.content["result"] == before["result"]
    monkeypatch.undo()
    assert not tool.restore(pushed.project, [(kept, applied.version)])
    assert pushed.annotation(0)["result"] == before["result"]


def test_a_first_annotation_that_is_submitted_while_ours_is_made_counts(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    task, old = pushed.images[0].tool_id, pushed.annotation(0)
    colleague.delete(f"api/annotations/{old['id']}/", "removing")
    review(tool, pushed, 0, mined_wrong=None)
    save = source_annotations._Source._save

    def be_later(*arguments: Any, **more: Any) -> Any:
        body = {"result": old["result"], "lead_time": 7.5}
        colleague.post_json(f"api/tasks/{task}/annotations/", body, "submitting")
        return save(*arguments, **more)

    monkeypatch.setattr(source_annotations._Source, "_save", be_later)
    applied = merge_first(pushed)
    assert "at the same time; merge again" in applied.overtaken
    assert pushed.annotation(0)["result"] == old["result"]
    monkeypatch.undo()
    again = merge_first(pushed)
    assert counts(again) == (3, 0, 0)
    mine = pushed.annotation(0)["result"]
    assert {r["id"] for r in mine} > {r["id"] for r in old["result"]}


def test_a_second_copy_that_arrived_late_is_deleted(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    task, old = pushed.images[0].tool_id, pushed.annotation(0)
    colleague.delete(f"api/annotations/{old['id']}/", "removing")
    review(tool, pushed, 0, mined_wrong=None)
    merge_first(pushed)
    made = pushed.annotation(0)
    tool.connection.post_json(f"api/tasks/{task}/annotations/", {"result": made["result"]}, "late")
    assert not merge_first(pushed).changes
    assert pushed.annotation(0)["id"] == made["id"]


def test_a_save_right_after_our_write_is_reported(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, mined_wrong=None)
    save = source_annotations._Source._save
    over: dict[str, Any] = {"ground_truth": True}

    def save_and_be_overtaken(*arguments: Any, **more: Any) -> Any:
        saved = save(*arguments, **more)
        colleague.patch_json(f"api/annotations/{saved['id']}/", over, "saving")
        return saved

    monkeypatch.setattr(source_annotations._Source, "_save", save_and_be_overtaken)
    # Starring changes no box.
    star = merge_first(pushed)
    assert (counts(star), star.overtaken) == ((3, 0, 0), "")
    over["result"] = []
    review(tool, pushed, 1, mined_wrong=None)
    _, applied = pushed.merge()
    assert applied.overtaken.startswith("saved by colleague@example.com on 20")
    assert counts(applied) == (3, 0, 0)
    monkeypatch.undo()
    # Nothing was recorded: the next merge makes the same changes, and says what else it found.
    assert pushed.images[1].tool_id not in pushed.written
    assert pushed.merge(write=False)[1].changes.added.keys() == applied.changes.added.keys()
    *_, kept = pushed.kept
    left = tool.restore(pushed.project, [(kept, applied.version)])
    assert left[pushed.images[1].tool_id].startswith("saved by colleague@example.com on 20")
    assert pushed.annotation(1)["result"] == []
