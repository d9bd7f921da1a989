"""A person reviews in the real user interface, with mouse and keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    labelling_config,
    set_up_project,
)
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.push_modes import ToReview
from tests.cli.command import sparsedet_here
from tests.integrations.label_studio.browser import (
    SUBMIT,
    UPDATE,
    finish,
    log_in,
    open_browser,
    open_first_task,
    reject_and_move,
    take_screenshot,
    wait_for_editor,
)
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    write_images,
    write_workspace_mined,
)

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

RIGHT, DOWN = 30.0, 20.0
"""How far the person drags a box, in pixels of the picture."""


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as page:
        yield page


@pytest.fixture
def env(label_studio: LocalServer) -> dict[str, str]:
    return {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}


def pull(tool: LabelStudioTool, title: str, folder: Path, env: dict[str, str]) -> tuple[str, Path]:
    """Pull a fresh project of one image; return its number and the workspace, ready to push."""
    drawn = write_images(folder / "source")
    project = set_up_project(tool.connection, title, drawn, folder / "source")
    workspace = folder / "workspace"
    assert sparsedet_here("pull", "--project", project, "-o", workspace, env=env).status == 0
    write_workspace_mined(tool.pull(project, workspace / "images"), workspace)
    return project, workspace


def check_outcomes(workspace: Path, env: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Check what the person's review came to; return the boxes by name."""
    outcomes = sparsedet_here("review", workspace, "--json", env=env).json()
    by_box = {box["region_id"].removesuffix("-1"): box for box in outcomes["boxes"]}
    assert {name: box["outcome"] for name, box in by_box.items()} == {
        "mined-orange": "accepted",
        "mined-parcel": "accepted",
        "mined-moved": "edited",
        "mined-wrong": "rejected",
    }
    counts = {name: outcomes[name] for name in ("accepted", "edited", "rejected", "pending")}
    assert counts == {"accepted": 2, "edited": 1, "rejected": 1, "pending": 0}
    left, top, right, bottom = FOUND_BY_MODEL["mined-moved"][1]
    assert by_box["mined-moved"]["final_xyxy"] == pytest.approx(
        [left + RIGHT, top + DOWN, right + RIGHT, bottom + DOWN], abs=3.0
    )
    return by_box


def test_a_person_rejects_one_box_and_drags_another(
    page: Page,
    label_studio: LocalServer,
    tool: LabelStudioTool,
    tmp_path: Path,
    env: dict[str, str],
) -> None:
    _, workspace = pull(tool, "Table", tmp_path, env)
    mined = workspace / "mined.json"
    pushed = sparsedet_here("push", mined, "--data", workspace, "--json", env=env).json()

    log_in(page, label_studio)
    regions = open_first_task(page, pushed["url"], SUBMIT)
    take_screenshot(page, "review.png")
    reject_and_move(page, regions, (RIGHT, DOWN))
    finish(page, SUBMIT, "POST")

    moved = check_outcomes(workspace, env)["mined-moved"]
    assert moved["reviewer"] == label_studio.email
    assert moved["seconds"] > 0


def test_a_person_updates_an_annotation_with_a_draft(
    page: Page,
    label_studio: LocalServer,
    tool: LabelStudioTool,
    tmp_path: Path,
    env: dict[str, str],
) -> None:
    project, workspace = pull(tool, "Table with a draft", tmp_path, env)
    ((before,),) = [task["annotations"] for task in export_tasks(tool.connection, int(project))]
    command = ("push", workspace / "mined.json", "--data", workspace, "--mode", "draft", "--json")
    pushed = sparsedet_here(*command, env=env).json()
    assert (pushed["review_project"], pushed["created"]) == (project, 1)

    log_in(page, label_studio)
    regions = open_first_task(page, pushed["url"], UPDATE)
    take_screenshot(page, "draft.png")
    reject_and_move(page, regions, (RIGHT, DOWN))
    # The editor saves the draft by itself; from now on it is the person's, and left alone.
    with page.expect_response(lambda answer: "/api/drafts/" in answer.url):
        pass
    again = sparsedet_here(*command, env=env).json()
    assert (again["created"], len(again["skipped"])) == (0, 1)
    finish(page, UPDATE, "PATCH")

    moved = check_outcomes(workspace, env)["mined-moved"]
    assert moved["reviewer"] == label_studio.email
    # The same annotation was changed, and stays its annotator's.
    (task,) = export_tasks(tool.connection, int(project))
    (after,) = task["annotations"]
    assert (after["id"], after["completed_by"]) == (before["id"], before["completed_by"])
    assert {region["id"] for region in after["result"]} == {
        *DRAWN_BY_PEOPLE,
        *(f"{name}-1" for name in FOUND_BY_MODEL if name != "mined-wrong"),
    }
    assert task["drafts"] == []


def test_a_person_marks_images_of_the_queue_as_complete(
    page: Page, label_studio: LocalServer, tool: LabelStudioTool, half_annotated: Pulled
) -> None:
    """In the label stream, by a key, where the annotated project has no control for it."""
    bare = labelling_config(["orange", "parcel"])
    bare = bare[: bare.index("<Choices")] + "</View>"
    tool.connection.client.projects.update(int(half_annotated.project), label_config=bare)
    shown, empty = half_annotated.dataset.images
    report = tool.push_modes["review-project"].push(
        half_annotated.project,
        ToReview(half_annotated.dataset, [], "run-1", queue=[empty.id, shown.id]),
    )
    log_in(page, label_studio)
    page.goto(f"{report.url}/data?labeling=1")
    for boxes in (0, len(DRAWN_BY_PEOPLE)):
        wait_for_editor(page, SUBMIT)
        if not boxes:
            page.get_by_text("Labeling Instructions").wait_for()
            page.keyboard.press("Escape")
            expect(page.get_by_text("Labeling Instructions")).to_have_count(0)
        expect(page.locator(".lsf-outliner-item")).to_have_count(boxes)
        page.get_by_text("Every object has a box:").wait_for()
        page.keyboard.press("c")
        take_screenshot(page, f"queue-{boxes}.png")
        finish(page, SUBMIT, "POST")
    reviews = tool.push_modes["review-project"].reviews(report.review_project, []).reviews
    assert [review.tool_id for review in reviews] == [empty.tool_id, shown.tool_id]
    assert [review.complete for review in reviews] == [True, True]
    assert [len(review.shown) for review in reviews] == [0, len(DRAWN_BY_PEOPLE)]
    assert [len(review.regions) for review in reviews] == [0, len(DRAWN_BY_PEOPLE)]
