"""Merging reviews into the annotations of a real server."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE
from sparsedet.tool import MergedImage, PushedImage, ReviewedRegion
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import FOUND_BY_MODEL, mined_boxes

pytestmark = pytest.mark.label_studio

# What else people may have in an annotation, and how it must come out of a merge.
OTHER_RESULTS: list[dict[str, Any]] = [
    {
        "id": "outline",
        "from_name": "outline",
        "to_name": "image",
        "type": "polygonlabels",
        "value": {"points": [[1.5, 2.25], [10, 2], [5, 8]], "polygonlabels": ["table"]},
        "note": None,
    },
    {"id": "light", "from_name": "light", "to_name": "image", "type": "choices", "value": {}},
    {"id": "human-orange", "from_name": "ripe", "to_name": "image", "type": "rating", "value": {}},
    {"type": "relation", "from_id": "human-orange", "to_id": "outline", "direction": "right"},
    {"type": "relation", "from_id": "human-parcel", "to_id": "outline", "direction": "right"},
]


@dataclass(frozen=True)
class Pushed:
    """A project whose mined boxes are up for review, as the ledger would remember it."""

    tool: LabelStudioTool
    project: str
    review_project: str
    images: tuple[PushedImage, ...]

    def merge(self, *, write: bool = True) -> Sequence[MergedImage]:
        merged: Sequence[MergedImage] = self.tool.merge(
            self.project, self.review_project, self.images, write=write
        )
        return merged

    def annotation(self, image: int) -> dict[str, Any]:
        """Return the one annotation of an image, as the server has it."""
        where = f"api/tasks/{self.images[image].tool_id}/annotations/"
        (annotation,) = self.tool.connection.get_json(where, {}, "looking")
        found: dict[str, Any] = annotation
        return found

    def results(self, image: int) -> dict[str, dict[str, Any]]:
        """Return the boxes and the mark of an image's annotation by id."""
        results = self.annotation(image)["result"]
        return {r["id"]: r for r in results if r["type"] in {"rectanglelabels", "choices"}}


def push(
    tool: LabelStudioTool, pulled: Pulled, mined: Sequence[MinedBox], version: str = "run-1"
) -> Pushed:
    """Pull again, so that the version is the newest, and push."""
    dataset = tool.pull(pulled.project, pulled.folder / "images")
    report = tool.push(pulled.project, dataset, mined, model_version=version)
    ids = {
        image.id: frozenset(b.region_id for b in mined if b.image_id == image.id)
        for image in dataset.images
    }
    images = tuple(
        PushedImage(image.tool_id or "", image.tool_version, ids[image.id])
        for image in dataset.images
    )
    return Pushed(tool, pulled.project, report.review_project, images)


def rewrite(tool: LabelStudioTool, task: int, *more: dict[str, Any]) -> None:
    """Save further results into the annotation of a task, as a person would."""
    (annotation,) = tool.connection.client.annotations.list(task)
    assert annotation.id
    result = [*(annotation.result or []), *more]
    tool.connection.client.annotations.update(annotation.id, result=result)


def review(tool: LabelStudioTool, pushed: Pushed, image: int, **changes: Any) -> None:
    """Submit an image's review: by name, None deletes a box, XYXY moves it, unsure leaves it open.

    Names that are not on offer are drawn, as oranges.
    """
    complete = changes.pop("complete", False)
    task = pushed.images[image].tool_id
    (open_review,) = [r for r in tool.open_reviews(pushed.review_project) if r.tool_id == task]
    kept = []
    for region in open_review.regions:
        name = region.region_id if region.region_id.startswith("human") else region.region_id[:-2]
        change = changes.pop(name.replace("-", "_"), region)
        if change == "unsure":
            kept.append(replace(region, unsure=True))
        elif isinstance(change, str):
            kept.append(replace(region, category=change))
        elif isinstance(change, tuple):
            kept.append(replace(region, xyxy=change))
        elif change is not None:
            kept.append(region)
    kept += [ReviewedRegion(name, "orange", xyxy) for name, xyxy in changes.items()]
    tool.submit_review(open_review, kept, complete=complete)


def test_a_review_of_three_images_with_one_conflict(
    tool: LabelStudioTool, pulled: Pulled, tmp_path: Path
) -> None:
    first, second, third = (image.id for image in pulled.dataset.images)
    rewrite(tool, first, *OTHER_RESULTS)
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    before = [pushed.annotation(image) for image in range(3)]
    review(
        tool,
        pushed,
        0,
        human_orange=(62.0, 230.0, 165.0, 330.0),
        human_parcel=None,
        mined_wrong=None,
        mined_moved=(480.0, 120.0, 570.0, 210.0),
        mined_parcel="unsure",
        drawn=(300.0, 300.0, 350.0, 350.0),
        complete=True,
    )
    rewrite(tool, second)  # a person saves: nothing is different but the time
    review(tool, pushed, 1, mined_wrong=None)
    review(
        tool,
        pushed,
        2,
        human_orange="parcel",
        **dict.fromkeys([name.replace("-", "_") for name in FOUND_BY_MODEL]),
    )

    dry = pushed.merge(write=False)
    assert [pushed.annotation(image) for image in (0, 2)] == [before[0], before[2]]
    assert [replace(image, detail="") for image in dry] == [
        MergedImage(str(first), "changed", added=3, edited=1, removed=1, marked_complete=True),
        MergedImage(str(second), "conflict"),
        MergedImage(str(third), "changed", edited=1),
    ]
    assert dry[1].detail.startswith("saved by admin@example.com on 20")

    conflicting = pushed.annotation(1)
    merged = pushed.merge()
    assert [replace(image, version=None) for image in merged] == dry
    assert pushed.annotation(1) == conflicting
    after = pushed.annotation(0)
    ids = [result.get("id") for result in after["result"]]
    assert ids == [
        "human-orange",
        "outline",
        "light",
        "human-orange",
        None,
        "mined-orange-1",
        "mined-moved-1",
        "drawn",
        ids[-1],
    ]
    kept = {json.dumps(result) for result in after["result"]}
    # All but the relation of the removed parcel; the polygon with its null and its integers.
    assert kept >= {json.dumps(result) for result in OTHER_RESULTS[:4]}
    orange = before[0]["result"][0]
    assert after["result"][0] == {
        **orange,
        "value": {**orange["value"], "x": 62 / 6.4, "width": 103 / 6.4},
    }
    assert after["result"][6]["value"]["x"] == pytest.approx(480 / 6.4)
    assert after["result"][6]["score"] == FOUND_BY_MODEL["mined-moved"][2]
    assert after["result"][-1]["value"] == {"choices": [COMPLETE_CHOICE]}
    for key in ("id", "completed_by", "lead_time", "created_at", "was_cancelled"):
        assert after[key] == before[0][key]
    assert [r["value"]["rectanglelabels"] for r in pushed.annotation(2)["result"]] == [
        ["parcel"],
        ["parcel"],
    ]

    again = tool.pull(pulled.project, tmp_path / "again")
    assert [i.tool_version for i in again.images if i.id != second] == [
        merged[0].version,
        merged[2].version,
    ]
    assert again.image_by_id[first].exhaustive
    assert {box.tool_id for box in again.boxes_by_image[first]} == {
        "human-orange",
        "mined-orange-1",
        "mined-moved-1",
        "drawn",
    }
    # As after a crash before anybody noted the new versions.
    assert [image.outcome for image in pushed.merge()] == ["same", "conflict", "same"]
    assert pushed.annotation(0) == after


def test_a_task_without_annotation_gets_one(tool: LabelStudioTool, pulled: Pulled) -> None:
    for image in (0, 1):
        (annotation,) = tool.connection.client.annotations.list(pulled.dataset.images[image].id)
        assert annotation.id
        tool.connection.client.annotations.delete(annotation.id)
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    assert pushed.images[0].version is None
    review(tool, pushed, 0, mined_wrong=None)
    review(tool, pushed, 1, **dict.fromkeys([name.replace("-", "_") for name in FOUND_BY_MODEL]))
    created, nothing = pushed.merge()
    assert (created.outcome, created.added) == ("changed", 3)
    assert (
        created.version
        == tool.pull(pulled.project, pulled.folder / "images").images[0].tool_version
    )
    assert set(pushed.results(0)) == {"mined-orange-1", "mined-parcel-1", "mined-moved-1"}
    assert nothing == MergedImage(pushed.images[1].tool_id, "same")
    assert not tool.connection.client.annotations.list(int(pushed.images[1].tool_id))
    assert [image.outcome for image in pushed.merge()] == ["same", "same"]


def test_a_second_review_of_an_image_adds_to_the_first(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mined = [box for box in mined_boxes(pulled.dataset) if box.region_id.endswith("-1")]
    pushed = push(tool, pulled, mined[:2])
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0), mined_parcel=None)
    pushed = push(tool, pulled, mined)  # the second review shows the orange where it was
    review(tool, pushed, 0, human_parcel=None, mined_wrong=None)
    (merged,) = pushed.merge()
    assert (merged.added, merged.edited, merged.removed) == (2, 1, 1)
    results = pushed.results(0)
    assert set(results) == {"human-orange", "mined-orange-1", "mined-moved-1"}
    assert results["human-orange"]["value"]["x"] == pytest.approx(70 / 6.4)


def test_what_people_did_after_a_merge_is_not_undone_by_a_later_one(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mined = [box for box in mined_boxes(pulled.dataset) if box.region_id.endswith("-1")]
    pushed = push(tool, pulled, mined[:2])
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0))
    assert pushed.merge()[0].outcome == "changed"
    annotation = pushed.annotation(0)
    person = [r for r in annotation["result"] if r["id"] != "mined-parcel-1"]
    person[0]["value"]["x"] = 60 / 6.4
    tool.connection.client.annotations.update(annotation["id"], result=person)
    assert pushed.merge()[0].outcome == "conflict"

    pushed = push(tool, pulled, mined[2:])
    pushed = replace(
        pushed,
        images=tuple(
            replace(image, region_ids=frozenset(box.region_id for box in mined))
            for image in pushed.images
        ),
    )
    (old,) = pushed.merge()
    assert (old.outcome, old.detail.endswith(", after its review")) == ("conflict", True)
    review(tool, pushed, 0, mined_wrong=None)
    (merged,) = pushed.merge()
    assert replace(merged, version=None) == MergedImage(merged.tool_id, "changed", added=1)
    results = pushed.results(0)
    assert set(results) == {"human-orange", "human-parcel", "mined-orange-1", "mined-moved-1"}
    assert results["human-orange"]["value"]["x"] == pytest.approx(60 / 6.4)


def test_unsaved_changes_of_people_are_not_lost(tool: LabelStudioTool, pulled: Pulled) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    before = pushed.annotation(0)
    where = f"api/tasks/{before['task']}/annotations/{before['id']}/drafts"
    tool.connection.post_json(where, {"result": [], "lead_time": 0}, "saving a draft")
    for write in (False, True):
        (image,) = pushed.merge(write=write)
        assert image.outcome == "conflict"
        assert image.detail == "admin@example.com has unsaved changes on its annotation"
    assert pushed.annotation(0) == before
    drafts = tool.connection.get_json(f"api/tasks/{before['task']}/drafts", {}, "looking")
    assert len(drafts) == 1


def test_a_change_during_the_merge_is_a_conflict(tool: LabelStudioTool, pulled: Pulled) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    before: list[dict[str, Any]] = []

    def save_meanwhile(what: str, done: int, total: int) -> None:
        if (what, done) == ("merging reviews", 0):
            rewrite(tool, int(pushed.images[0].tool_id))
            before.append(pushed.annotation(0))

    (image,) = tool.merge(
        pushed.project, pushed.review_project, pushed.images, write=True, progress=save_meanwhile
    )
    assert image.outcome == "conflict"
    assert [pushed.annotation(0)] == before


def test_reviews_of_images_that_were_not_pushed_are_left_out(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0)
    others = replace(pushed, images=pushed.images[1:])
    assert not others.merge()


def test_labels_that_changed_since_the_push_are_refused(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    client = tool.connection.client
    xml = client.projects.get(int(pushed.project)).label_config or ""
    more = xml.replace("</RectangleLabels>", '<Label value="crate"/></RectangleLabels>')
    client.projects.update(int(pushed.project), label_config=more)
    with pytest.raises(ToolError, match="are no longer those of its review project"):
        pushed.merge()
