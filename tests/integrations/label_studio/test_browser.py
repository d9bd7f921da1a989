"""A person reviews: in the real user interface, with mouse and keyboard."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.seeding import seed_project
from sparsedet.integrations.label_studio.server import LocalServer
from tests.cli.command import sparsedet
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    HEIGHT,
    WIDTH,
    write_images,
    write_workspace_mined,
)

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

ARTIFACTS = Path(os.environ.get("SPARSEDET_ARTIFACTS", "artifacts"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000


@pytest.fixture
def page() -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium and no google-chrome on PATH", pytrace=False)
        pytest.skip("needs chromium or google-chrome on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def test_a_person_rejects_one_box_and_drags_another(
    page: Page, label_studio: LocalServer, tool: LabelStudioTool, tmp_path: Path
) -> None:
    drawn = write_images(tmp_path / "source")
    project = seed_project(tool.connection, "Table", drawn, tmp_path / "source")
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    workspace = tmp_path / "workspace"
    assert sparsedet("pull", "--project", project, "-o", workspace, env=env).status == 0
    mined = write_workspace_mined(tool.pull(project, workspace / "images"), workspace)
    pushed = sparsedet("push", mined, "--data", workspace, "--json", env=env).json()

    _log_in(page, label_studio)
    page.goto(pushed["url"])
    page.get_by_test_id("table-row").first.click()
    _wait_for_editor(page)
    regions = page.locator(".lsf-outliner-item")
    scores = [f"{score:.2f}" for _, _, score in FOUND_BY_MODEL.values()]
    expect(regions).to_have_count(len(DRAWN_BY_PEOPLE) + len(scores))
    for score in scores:
        expect(regions.filter(has_text=score)).to_have_count(1)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "review.png")

    wrong_score = f"{FOUND_BY_MODEL['mined-wrong'][2]:.2f}"
    regions.filter(has_text=wrong_score).click()
    page.keyboard.press("Backspace")
    expect(regions.filter(has_text=wrong_score)).to_have_count(0)
    left, top, right, bottom = FOUND_BY_MODEL["mined-moved"][1]
    _drag(page, ((left + right) / 2, (top + bottom) / 2), by=(30.0, 20.0))
    with page.expect_response(
        lambda answer: answer.request.method == "POST" and "/annotations" in answer.url
    ) as submitted:
        page.get_by_test_id("bottombar-submit-button").click()
    assert submitted.value.ok

    outcomes = sparsedet("review", workspace, "--json", env=env).json()
    by_box = {box["region_id"].removesuffix("-1"): box for box in outcomes["boxes"]}
    assert {name: box["outcome"] for name, box in by_box.items()} == {
        "mined-orange": "accepted",
        "mined-parcel": "accepted",
        "mined-moved": "edited",
        "mined-wrong": "rejected",
    }
    counts = {name: outcomes[name] for name in ("accepted", "edited", "rejected", "pending")}
    assert counts == {"accepted": 2, "edited": 1, "rejected": 1, "pending": 0}
    moved = by_box["mined-moved"]
    assert moved["final_xyxy"] == pytest.approx(
        [left + 30, top + 20, right + 30, bottom + 20], abs=3.0
    )
    assert moved["reviewer"] == label_studio.email
    assert moved["seconds"] > 0


def _log_in(page: Page, server: LocalServer) -> None:
    page.goto(f"{server.url}/user/login")
    page.fill("input[name=email]", server.email)
    page.fill("input[name=password]", server.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)


def _wait_for_editor(page: Page) -> None:
    """Wait until the picture is shown and boxes can be taken hold of."""
    page.locator(".konvajs-content canvas").first.wait_for()
    page.get_by_test_id("bottombar-submit-button").wait_for()
    page.wait_for_function(
        "width => [...document.images].some(i => i.complete && i.naturalWidth === width)", arg=WIDTH
    )


def _drag(page: Page, point: tuple[float, float], by: tuple[float, float]) -> None:
    """Drag with the mouse from a point of the picture, both in its pixels."""
    shown = page.evaluate(
        """width => {
            const sizes = [...document.images].filter(i => i.naturalWidth === width)
                .map(i => i.getBoundingClientRect());
            const box = sizes.reduce((a, b) => a.width > b.width ? a : b);
            return [box.x, box.y, box.width, box.height];
        }""",
        WIDTH,
    )
    left, top, width, height = shown

    def screen(x: float, y: float) -> tuple[float, float]:
        return left + x * width / WIDTH, top + y * height / HEIGHT

    page.mouse.move(*screen(*point))
    page.mouse.down()
    page.mouse.move(*screen(point[0] + by[0] / 2, point[1] + by[1] / 2), steps=5)
    page.mouse.move(*screen(point[0] + by[0], point[1] + by[1]), steps=5)
    page.mouse.up()
