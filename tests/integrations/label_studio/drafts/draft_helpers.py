"""What the tests of draft mode share: pushing drafts, and what an editor makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.connection import Connection
from sparsedet.integrations.label_studio.drafts.draft_push import push_drafts
from sparsedet.integrations.label_studio.drafts.draft_reviews import read_reviewed_drafts
from sparsedet.integrations.label_studio.drafts.draft_tasks import MARK
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.tool import PushedImage, PushReport, ReviewedImage
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import (
    FOUND_BY_MODEL,
    mined_boxes,
)

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


def push(
    tool: LabelStudioTool,
    pulled: Pulled,
    mined: Sequence[MinedBox] | None = None,
    version: str = "run-1",
    **options: Any,
) -> PushReport:
    boxes = mined_boxes(pulled.dataset) if mined is None else mined
    report: PushReport = push_drafts(
        tool.connection, pulled.project, pulled.dataset, boxes, model_version=version, **options
    )
    return report


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
    found: list[ReviewedImage] = read_reviewed_drafts(tool.connection, pulled.project, images)
    return found
