"""Merging reviews into annotations on a real server."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE
from sparsedet.reviews import Changes, scaled
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import (
    OTHER_RESULTS,
    boxes_of,
    counts,
    push,
    review,
    rewrite,
)
from tests.integrations.label_studio.review_project.review_helpers import mode_of
from tests.integrations.label_studio.samples import FOUND_BY_MODEL, NONE_OF_THE_MINED, mined_boxes

pytestmark = pytest.mark.label_studio


def of_first(mined: list[MinedBox]) -> list[MinedBox]:
    return [box for box in mined if box.region_id.endswith("-1")]


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
    review(tool, pushed, 1, human_orange=(80.0, 230.0, 180.0, 330.0))
    review(tool, pushed, 2, human_orange="parcel", **NONE_OF_THE_MINED)
    moved = pushed.annotation(1)["result"]
    moved[0]["value"]["x"] = 30 / 6.4
    tool.connection.client.annotations.update(before[1]["id"], result=moved)

    dry = pushed.merge(write=False)
    assert [pushed.annotation(image) for image in (0, 2)] == [before[0], before[2]]
    assert not pushed.kept
    assert [image.tool_id for image in dry] == [str(first), str(second), str(third)]
    assert [counts(image) for image in dry] == [(3, 1, 1), (0, 0, 0), (0, 1, 0)]
    assert [bool(image.changes.conflicts) for image in dry] == [False, True, False]
    assert [image.changes.marks_complete for image in dry] == [True, False, False]
    assert all(image.version is None and image.overtaken == "" for image in dry)
    assert dry[1].state is not None
    assert dry[1].state.saved.startswith("saved by admin@example.com on 20")

    conflicting = pushed.annotation(1)
    merged = pushed.merge()
    assert [(i.changes, i.overtaken) for i in merged] == [(i.changes, "") for i in dry]
    assert [item.tool_id for item in pushed.kept] == [str(first), str(third)]
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
    # The star of the first was given when somebody saved it; that of the third by its import.
    assert [pushed.annotation(image)["ground_truth"] for image in (0, 2)] == [True, False]
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
    # As after a crash before anybody noted what was written.
    for written in (pushed.written, {}):
        pushed.written = dict(written)
        assert [bool(image.changes) for image in pushed.merge()] == [False, False, False]
    assert pushed.annotation(0) == after


def test_a_task_without_annotation_gets_one(tool: LabelStudioTool, pulled: Pulled) -> None:
    for image in (0, 1):
        (annotation,) = tool.connection.client.annotations.list(pulled.dataset.images[image].id)
        assert annotation.id
        tool.connection.client.annotations.delete(annotation.id)
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    assert pushed.images[0].version is None
    review(tool, pushed, 0, mined_wrong=None)
    review(tool, pushed, 1, **NONE_OF_THE_MINED)
    created, nothing = pushed.merge()
    assert counts(created) == (3, 0, 0)
    newest = tool.pull(pulled.project, pulled.folder / "images").images[0].tool_version
    assert created.version == newest
    assert set(pushed.results(0)) == {"mined-orange-1", "mined-parcel-1", "mined-moved-1"}
    assert not pushed.annotation(0)["ground_truth"]
    assert not nothing.changes
    assert not pushed.annotations(1)
    assert not any(image.changes for image in pushed.merge())

    (kept,) = pushed.kept
    assert not tool.restore(pushed.project, [(kept, created.version)])
    assert not pushed.annotations(0)
    assert not tool.restore(pushed.project, [(kept, created.version)])
    # A merge that was killed before it noted what it had made.
    pushed.written.clear()
    assert pushed.merge()[0].version
    assert not tool.restore(pushed.project, [(pushed.kept[-1], None)])
    assert not pushed.annotations(0)


def test_a_second_review_of_an_image_adds_to_the_first(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mined = of_first(mined_boxes(pulled.dataset))
    pushed = push(tool, pulled, mined[:2])
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0), mined_parcel=None)
    pushed = push(tool, pulled, mined)  # the second review shows the orange where it was
    review(tool, pushed, 0, human_parcel=None, mined_wrong=None)
    (merged,) = pushed.merge()
    assert counts(merged) == (2, 1, 1)
    results = pushed.results(0)
    assert set(results) == {"human-orange", "mined-orange-1", "mined-moved-1"}
    assert results["human-orange"]["value"]["x"] == pytest.approx(70 / 6.4)


def test_what_people_did_after_a_merge_is_not_undone_by_a_later_one(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mined = of_first(mined_boxes(pulled.dataset))
    pushed = push(tool, pulled, mined[:2])
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0))
    assert pushed.merge()[0].changes
    annotation = pushed.annotation(0)
    person = [r for r in annotation["result"] if r["id"] != "mined-parcel-1"]
    person[0]["value"]["x"] = 60 / 6.4
    tool.connection.client.annotations.update(annotation["id"], result=person)
    assert not pushed.merge()[0].changes

    pushed = replace(push(tool, pulled, mined), written=pushed.written)
    review(tool, pushed, 0, mined_wrong=None)
    (merged,) = pushed.merge()
    assert set(merged.changes.added) == {"mined-moved-1"}
    assert counts(merged) == (1, 0, 0)
    results = pushed.results(0)
    assert set(results) == {"human-orange", "human-parcel", "mined-orange-1", "mined-moved-1"}
    assert results["human-orange"]["value"]["x"] == pytest.approx(60 / 6.4)


def test_a_source_that_was_saved_again_or_starred_is_no_conflict(
    tool: LabelStudioTool, pulled: Pulled, colleague: Connection
) -> None:
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, human_orange=(70.0, 230.0, 170.0, 330.0))
    review(tool, pushed, 1, human_parcel=None)
    rewrite(tool, pushed.images[0].tool_id)
    star = {"ground_truth": True}
    where = f"api/annotations/{pushed.annotation(1)['id']}/"
    colleague.patch_json(where, star, "starring")
    first, second = pushed.merge()
    assert [counts(first), counts(second)] == [(4, 1, 0), (4, 0, 1)]
    # Once more, after the merge.
    rewrite(tool, pushed.images[0].tool_id)
    colleague.patch_json(where, star, "starring")
    again = pushed.merge()
    assert [(bool(i.changes), bool(i.changes.conflicts)) for i in again] == [(False, False)] * 2


def test_overlapping_boxes_that_one_reviewer_accepts_are_all_written(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    image = pulled.dataset.images[0].id
    mined = [
        MinedBox(f"m{shift}", image, 1, (300.0 + shift, 20.0, 400.0 + shift, 120.0), 0.9, 0.4)
        for shift in range(0, 54, 6)
    ]
    pushed = push(tool, pulled, mined)
    review(tool, pushed, 0)
    (merged,) = pushed.merge()
    assert set(merged.changes.added) == {box.region_id for box in mined}
    assert set(pushed.results(0)) >= {box.region_id for box in mined}
    for written in (pushed.written, {}):
        pushed.written = dict(written)
        (again,) = pushed.merge()
        assert again.changes == Changes()


def test_boxes_without_ids_are_the_same_in_pull_review_and_merge(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    for image in pulled.dataset.images:
        (annotation,) = tool.connection.client.annotations.list(image.id)
        nameless = [{k: v for k, v in r.items() if k != "id"} for r in annotation.result or []]
        tool.connection.client.annotations.update(annotation.id or 0, result=nameless)
    pushed = push(tool, pulled, mined_boxes(pulled.dataset)[-4:])  # on the last image
    dataset = tool.pull(pulled.project, pulled.folder / "images")
    orange, parcel = (box.tool_id for box in dataset.boxes_by_image[dataset.images[2].id])
    review(tool, pushed, 2, **{str(parcel): None}, **NONE_OF_THE_MINED)
    # Somebody draws a box on an earlier image: running numbers would shift.
    extra = pushed.annotation(0)["result"][0]
    extra["value"] = {**extra["value"], "x": 1.0, "y": 1.0}
    rewrite(tool, pushed.images[0].tool_id, extra)
    pushed = push(tool, pulled, [*mined_boxes(pulled.dataset)[-4:], *mined_boxes(dataset)[:1]])
    review(tool, pushed, 0, **{str(orange): (70.0, 230.0, 170.0, 330.0)}, mined_orange=None)
    last, first = pushed.merge()
    assert boxes_of(last.state) == {orange, parcel}
    assert (set(last.changes.removed), set(first.changes.edited)) == ({parcel}, {orange})
    left = pushed.annotation(2)["result"]
    assert [r["value"]["rectanglelabels"] for r in left] == [["orange"]]
    earlier = pushed.annotation(0)["result"]
    assert [round(r["value"]["x"] * 6.4) for r in earlier] == [70, 400, 6]
    assert not any(image.changes or image.changes.conflicts for image in pushed.merge())


def test_boxes_stay_in_place_on_an_image_that_was_replaced_by_a_larger_one(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    """Percentages count; what a region says of its image's size does not."""
    pushed = push(tool, pulled, mined_boxes(pulled.dataset))
    review(tool, pushed, 0, human_orange=(64.0, 230.0, 164.0, 330.0))
    doubled = [
        replace(
            image,
            size=(1280, 960),
            boxes={
                id: replace(box, xyxy=scaled(box.xyxy, image.size, (1280, 960)))
                for id, box in image.boxes.items()
            },
        )
        for image in pushed.images
    ]
    pushed = replace(pushed, images=tuple(doubled))
    (review_of_first,) = mode_of(tool).reviews(pushed.review_project, pushed.images).reviews
    boxes = {region.region_id: region.xyxy for region in review_of_first.regions}
    assert boxes["human-orange"] == pytest.approx((128, 460, 328, 660))
    assert boxes["mined-orange-1"] == pytest.approx((380, 540, 580, 740))
    assert review_of_first.shown["human-orange"].xyxy == pytest.approx((120, 460, 320, 660))
    (merged,) = pushed.merge()
    assert counts(merged) == (4, 1, 0)
    results = pushed.results(0)
    assert results["human-orange"]["value"]["x"] == pytest.approx(10.0)
    assert results["mined-orange-1"]["value"]["x"] == pytest.approx(190 / 6.4)
    assert results["mined-orange-1"]["original_width"] == 1280
