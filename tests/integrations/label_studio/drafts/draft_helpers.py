"""Shared by tests of draft mode: pushing drafts, and an editor's changes to them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.drafts.draft_tasks import MARK, OWNER
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.push_modes import PlaceReviews, PushedImage, PushMode, PushReport, ToReview
from sparsedet.reviews import Review, ReviewedRegion
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, FOUND_BY_MODEL, mined_boxes

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


def mode_of(tool: LabelStudioTool) -> PushMode:
    mode: PushMode = tool.push_modes["draft"]
    return mode


def push(
    tool: LabelStudioTool,
    pulled: Pulled,
    mined: Sequence[MinedBox] | None = None,
    version: str = "run-1",
    **options: Any,
) -> PushReport:
    boxes = mined_boxes(pulled.dataset) if mined is None else mined
    how = {name: options.pop(name) for name in ("dry_run", "progress") if name in options}
    wanted = ToReview(pulled.dataset, boxes, version, **options)
    return mode_of(tool).push(pulled.project, wanted, **how)


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
    regions = [{k: v for k, v in region.items() if k not in (MARK, OWNER)} for region in result]
    for region in regions:
        name = str(region["id"]).replace("-", "_")
        if name in moves:
            region["value"] = {**region["value"], "x": moves[name]}
            region["origin"] = "prediction-changed"
    return regions


def without(result: Sequence[Mapping[str, Any]], *ids: str) -> list[dict[str, Any]]:
    return [dict(region) for region in result if region["id"] not in ids]


def save(
    connection: Connection,
    annotation: int,
    result: Sequence[Mapping[str, Any]],
    *,
    shows_draft: bool = True,
) -> None:
    """Press Update, in an editor that shows the account's draft if there is one.

    The editor adds the draft's seconds and those since the image was opened.
    """
    before = connection.client.annotations.get(annotation)
    account = connection.client.users.whoami().email
    found = connection.get_json(f"api/tasks/{before.task}/drafts", {}, "opening")
    shown = [d for d in found if (d["user"], d["annotation"]) == (account, annotation)]
    seconds = sum(draft["lead_time"] for draft in shown) if shows_draft else 0.0
    connection.client.annotations.update(
        annotation,
        result=[dict(region) for region in result],
        lead_time=(before.lead_time or 0.0) + seconds + 2.517,
    )


def star(connection: Connection, annotation: int) -> None:
    """Mark an annotation as ground truth."""
    path = f"api/annotations/{annotation}/"
    connection.patch_json(path, {"ground_truth": True}, "starring")


def add_draft(
    connection: Connection, task: Mapping[str, Any], result: Sequence[Mapping[str, Any]]
) -> None:
    path = f"api/tasks/{task['id']}/annotations/{task['annotations'][0]['id']}/drafts"
    connection.post_json(path, {"result": result, "lead_time": 3.5}, "drawing")


def pushed_images(pulled: Pulled, mined: Sequence[MinedBox] | None = None) -> list[PushedImage]:
    boxes = mined_boxes(pulled.dataset) if mined is None else mined
    names = {category.id: category.name for category in pulled.dataset.categories}
    return [
        PushedImage(
            image.tool_id or "",
            image.tool_version,
            {
                box.region_id: ReviewedRegion(box.region_id, names[box.category_id], box.xyxy)
                for box in boxes
                if box.image_id == image.id
            },
            (image.width, image.height),
        )
        for image in pulled.dataset.images
    ]


def place(
    tool: LabelStudioTool, pulled: Pulled, pushed: Sequence[PushedImage] | None = None
) -> PlaceReviews:
    images = pushed_images(pulled) if pushed is None else pushed
    return mode_of(tool).reviews(pulled.project, images)


def reviewed(
    tool: LabelStudioTool, pulled: Pulled, pushed: Sequence[PushedImage] | None = None
) -> list[Review]:
    return list(place(tool, pulled, pushed).reviews)


def judged(review: Review) -> set[str]:
    """Ids of the mined boxes that a review judges."""
    return {id for id in review.shown if id not in DRAWN_BY_PEOPLE}
