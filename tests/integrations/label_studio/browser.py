"""A person at Label Studio's user interface: real browser, mouse and keyboard."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    HEIGHT,
    WIDTH,
)

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
WIDTHS = (1500, 1000)
"""Of the page: a wide screen, and half of one."""

SUBMIT = "bottombar-submit-button"
UPDATE = "bottombar-update-button"


@contextmanager
def open_browser() -> Iterator[Page]:
    """Open a page in a browser for the length of the block; skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium and no google-chrome on PATH", pytrace=False)
        pytest.skip("needs chromium or google-chrome on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 950})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)  # its own is 5 s, too little on a busy machine
        yield page
        browser.close()


def log_in(page: Page, server: LocalServer) -> None:
    """Log in as the administrator, without a look at the form and at the home page."""
    url = f"{server.url}/user/login/"
    page.request.get(url)
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    form = {"email": server.email, "password": server.password}
    answer = page.request.post(
        url, form={**form, "csrfmiddlewaretoken": cookies["csrftoken"]}, max_redirects=0
    )
    assert answer.status == 302, answer.status


def wait_for_editor(page: Page, button: str) -> None:
    """Wait until the picture is shown, its boxes can be dragged, and `button` is there."""
    page.locator(".konvajs-content canvas").first.wait_for()
    page.get_by_test_id(button).wait_for()
    page.wait_for_function(
        "width => [...document.images].some(i => i.complete && i.naturalWidth === width)", arg=WIDTH
    )


def drag(page: Page, point: tuple[float, float], by: tuple[float, float]) -> None:
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


def open_first_task(page: Page, url: str, button: str) -> Locator:
    """Open the first task of a list of tasks; return the editor's list of regions.

    Checks that it shows the boxes of people and, with their scores, those of the model.

    Args:
        page: logged in.
        url: of the list.
        button: what people finish the task with: SUBMIT or UPDATE.
    """
    page.goto(url)
    page.get_by_test_id("table-row").first.click()
    wait_for_editor(page, button)
    regions = page.locator(".lsf-outliner-item")
    expect(regions).to_have_count(len(DRAWN_BY_PEOPLE) + len(FOUND_BY_MODEL))
    for _, _, score in FOUND_BY_MODEL.values():
        expect(regions.filter(has_text=f"{score:.2f}")).to_have_count(1)
    return regions


def outlines(page: Page) -> dict[str, str]:
    """Return the colours in which the editor draws boxes on the picture, by region id."""
    drawn: dict[str, str] = page.evaluate(
        """() => Object.fromEntries(Konva.stages.flatMap(stage => stage.find("Rect"))
            .filter(rect => rect.name()?.includes("_transformable"))
            .map(rect => [rect.name().split("#")[0], rect.stroke()]))"""
    )
    return drawn


def texts_on_picture(page: Page) -> list[str]:
    """Return what the editor writes on the picture."""
    texts: list[str] = page.evaluate(
        """() => Konva.stages.flatMap(stage => stage.find("Text")).map(text => text.text())"""
    )
    return texts


def take_screenshots(page: Page, name: str) -> None:
    """Keep pictures of the page at two widths among the artifacts; it stays at the first one."""
    first = page.viewport_size
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 950})
        page.wait_for_timeout(500)  # the editor scales the picture once the page stands still
        take_screenshot(page, f"{name}-{width}.png")
    if first is not None:
        page.set_viewport_size(first)


def take_screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page among the artifacts."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / name)


def reject_and_move(page: Page, regions: Locator, by: tuple[float, float]) -> None:
    """Delete the box `mined-wrong` with the keyboard and drag `mined-moved` with the mouse.

    Args:
        page: with the editor open.
        regions: the editor's list of regions.
        by: right and down, in pixels of the picture.
    """
    wrong_score = f"{FOUND_BY_MODEL['mined-wrong'][2]:.2f}"
    regions.filter(has_text=wrong_score).click()
    page.keyboard.press("Backspace")
    expect(regions.filter(has_text=wrong_score)).to_have_count(0)
    left, top, right, bottom = FOUND_BY_MODEL["mined-moved"][1]
    drag(page, ((left + right) / 2, (top + bottom) / 2), by)


def finish(page: Page, button: str, method: str) -> None:
    """Press SUBMIT or UPDATE and wait for the server, which gets a POST or a PATCH."""
    with page.expect_response(
        lambda answer: answer.request.method == method and "/annotations" in answer.url
    ) as answered:
        page.get_by_test_id(button).click()
    assert answered.value.ok
