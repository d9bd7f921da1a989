"""Undone merges, and merges of several annotations, on a real server."""

import json

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.tool import Replaced, ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import (
    OTHER_RESULTS,
    boxes_of,
    counts,
    merge_first,
    push,
    review,
    rewrite,
)
from tests.integrations.label_studio.samples import mined_boxes

pytestmark = pytest.mark.label_studio


def test_a_merge_is_taken_back_where_nobody_changed_it_since(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    # As the editor does: still nobody has starred it but the import.
    rewrite(tool, pulled.dataset.images[0].id, *OTHER_RESULTS, lead_time=5.0)
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    for image in range(3):
        review(tool, pushed, image, human_parcel=None, human_orange=(62.0, 230.0, 165.0, 330.0))
    before = [pushed.annotation(image)["result"] for image in range(3)]
    versions = {image.tool_id: image.version for image in pushed.merge()}
    assert not pushed.annotation(0)["ground_truth"]
    first = f"api/annotations/{pushed.annotation(0)['id']}/"
    colleague.patch_json(first, {"lead_time": 9.0}, "saving without a change")
    rewrite(tool, pushed.images[1].tool_id, OTHER_RESULTS[1])
    last = pushed.images[2].tool_id
    where = f"api/tasks/{last}/annotations/{pushed.annotation(2)['id']}/drafts"
    tool.connection.post_json(where, {"result": [], "lead_time": 0}, "saving a draft")
    # The keeping file is JSON.
    kept = json.loads(json.dumps([[item.tool_id, item.content] for item in pushed.kept]))
    replaced = [(Replaced(id, content), versions[id]) for id, content in kept]
    gone = (Replaced("987654", kept[0][1]), None)
    left = tool.restore(pushed.project, [*replaced, gone])
    assert left == {
        pushed.images[1].tool_id: left[pushed.images[1].tool_id],
        last: "admin@example.com has unsaved changes on its annotation",
        "987654": "its task was deleted",
    }
    assert left[pushed.images[1].tool_id].endswith(", after the merge")
    restored = pushed.annotation(0)
    assert restored["result"] == before[0]
    assert (restored["ground_truth"], restored["last_action"]) == (True, "imported")
    assert pushed.annotation(1)["result"] != before[1]
    # Once more, as after a cut: what is back is back.
    assert replaced[0][0].tool_id not in tool.restore(pushed.project, replaced)


def test_the_merge_of_several_annotations_is_a_starred_one(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    combining = LabelStudioTool(
        label_studio.url, ToolOptions(annotations="union"), api_key=label_studio.api_key
    )
    image = pulled.dataset.images[0].id
    (first,) = tool.connection.client.annotations.list(image)
    crate = {**(first.result or [])[0], "id": "crate"}
    crate["value"] = {**crate["value"], "x": 80.0, "y": 80.0, "height": 10.0}
    body = {"result": [(first.result or [])[0], crate]}
    colleague.post_json(f"api/tasks/{image}/annotations/", body, "annotating")
    pushed = push(combining, pulled, mined_boxes(pulled.dataset))
    review(combining, pushed, 0, human_parcel=None, mined_wrong=None)
    before = pushed.annotations(0)
    applied = merge_first(pushed)
    assert boxes_of(applied.state) == {"human-orange", "human-parcel", "crate"}
    assert counts(applied) == (3, 0, 1)
    *others, ours = pushed.annotations(0)
    assert [a["result"] for a in others] == [a["result"] for a in before]
    assert [a["updated_at"] for a in others] == [a["updated_at"] for a in before]
    expected = {"human-orange", "crate", "mined-orange-1", "mined-parcel-1", "mined-moved-1"}
    assert {r["id"] for r in ours["result"]} == expected
    assert ours["ground_truth"]
    for reader in (combining, tool):
        dataset = reader.pull(pulled.project, pulled.folder / "images")
        assert {box.tool_id for box in dataset.boxes_by_image[image]} == expected
        assert dataset.image_by_id[image].tool_version == applied.version
    assert not merge_first(pushed).changes
    assert not combining.restore(pushed.project, [(pushed.kept[0], applied.version)])
    assert [a["id"] for a in pushed.annotations(0)] == [a["id"] for a in before]
