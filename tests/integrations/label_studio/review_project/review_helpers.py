"""Shared by tests of review projects."""

from collections.abc import Sequence
from typing import Any

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.push_modes import PushMode, PushReport, ToReview
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import FOUND_BY_MODEL, mined_boxes

IMAGES = 3
BOXES = IMAGES * len(FOUND_BY_MODEL)


def mode_of(tool: LabelStudioTool) -> PushMode:
    mode: PushMode = tool.push_modes["review-project"]
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


def predictions(tool: LabelStudioTool, report: PushReport) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tool.connection.get_json(
        "api/predictions/", {"project": report.review_project}, "counting"
    )
    return sorted(found, key=lambda prediction: int(prediction["id"]))


def up(tool: LabelStudioTool, report: PushReport) -> set[str]:
    """Ids of the mined boxes in all predictions."""
    return {
        region["id"]
        for prediction in predictions(tool, report)
        for region in prediction["result"]
        if region.get("score") is not None
    }


def review_projects(tool: LabelStudioTool, pulled: Pulled) -> list[Any]:
    projects: Any = tool.connection.client.projects.list(page_size=100)
    mark = f"[sparsedet review of project {pulled.project}"
    return [project for project in projects if mark in (project.description or "")]


def ids(*numbers: int, without: str = "") -> frozenset[str]:
    """Ids of the mined boxes of the images with these numbers."""
    return frozenset(
        f"{name}-{number}" for number in numbers for name in FOUND_BY_MODEL if name != without
    )
