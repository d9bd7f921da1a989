"""Tabs of the review project, by the data of its tasks."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.push_modes import PushReport
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import mode_of, push
from tests.integrations.label_studio.samples import mined_boxes

pytestmark = pytest.mark.label_studio


def mined(pulled: Pulled) -> list[MinedBox]:
    """Three boxes on the first image, all four on the second, none on the third."""
    first, second, _ = (image.id for image in pulled.dataset.images)
    shown = {first: ("orange", "parcel", "moved"), second: ("orange", "parcel", "moved", "wrong")}
    return [
        replace(box, expected_precision=box.score - (0.3 if box.image_id == second else 0.0))
        for box in mined_boxes(pulled.dataset)
        if any(name in box.region_id for name in shown.get(box.image_id, ()))
    ]


def tabs(tool: LabelStudioTool, report: PushReport) -> dict[str, list[int]]:
    """Title of each tab -> the annotated tasks that it shows, in order."""
    found = {}
    for view in tool.connection.client.views.list(project=int(report.review_project)):
        shown: Any = tool.connection.get_json("api/tasks/", {"view": view.id}, "a tab")
        tasks = [task["data"]["sparsedet_source_task"] for task in shown["tasks"]]
        found[str(view.data["title"])] = tasks
    return found


def test_every_tab_shows_its_tasks_in_its_order(tool: LabelStudioTool, pulled: Pulled) -> None:
    first, second, third = (int(image.tool_id or 0) for image in pulled.dataset.images)
    ids = [image.id for image in pulled.dataset.images]
    boxes = mined(pulled)
    report = push(tool, pulled, boxes, queue=ids, missing={ids[0]: 4.2, ids[2]: 9.9})
    assert tabs(tool, report) == {
        "To review": [first, second, third],
        "Surest": [first, second],
        "Most doubtful": [second, first],
        "Without mined boxes": [third],
        "With orange": [first, second],
        "With parcel": [first, second],
    }
    (shown, _, bare) = tool.open_reviews(report.review_project)
    assert shown.task.data["sparsedet_missing"] == 4.2
    assert shown.task.data["sparsedet_classes"] == "| orange: 2 | parcel: 1 |"
    # It may be of the blind sample, which more is missing on than on others without boxes.
    assert "sparsedet_missing" not in bare.task.data

    # A newer model finds no parcel on the first image, and is surer of the second.
    fewer = [
        replace(box, region_id=f"new-{box.region_id}", expected_precision=0.99)
        for box in boxes
        if box.image_id != ids[0] or "parcel" not in box.region_id
    ]
    old = frozenset(box.region_id for box in boxes)
    report = push(tool, pulled, fewer, "run-2", queue=ids, withdrawn=old)
    assert tabs(tool, report)["With parcel"] == [second]
    tool.open_reviews(report.review_project)[0].submit([])
    assert tabs(tool, report)["Surest"] == [second]

    region_ids = frozenset(box.region_id for box in fewer)
    mode_of(tool).undo(pulled.project, report.review_project, region_ids)
    assert tabs(tool, report) == {}
