"""A person reviews a contact sheet in the real user interface."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import set_up_project
from tests.cli.command import sparsedet_here
from tests.integrations.label_studio.browser import (
    SUBMIT,
    finish,
    log_in,
    open_browser,
    take_screenshots,
)
from tests.integrations.label_studio.samples import FOUND_BY_MODEL, write_images

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

IMAGES = 4


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as page:
        yield page


def found(folder: Path) -> list[MinedBox]:
    """On every image three boxes said to be oranges: of these one is a parcel, one is nothing."""
    dataset = read_coco(folder / "annotations.json")
    names = ("mined-orange", "mined-parcel", "mined-wrong")
    found = [(n, image, name) for name in names for n, image in enumerate(dataset.images, start=1)]
    return [
        MinedBox(f"{name}-{n}", image.id, 1, FOUND_BY_MODEL[name][1], 0.9 - rank / 100, 0.4)
        for rank, (n, image, name) in enumerate(found)
    ]


def test_two_deleted_one_renamed_and_the_rest_submitted(
    page: Page, label_studio: LocalServer, tool: LabelStudioTool, tmp_path: Path
) -> None:
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    drawn = write_images(tmp_path / "source", count=IMAGES)
    project = set_up_project(tool.connection, "Sheets", drawn, tmp_path / "source")
    work = tmp_path / "workspace"
    assert sparsedet_here("pull", "--project", project, "-o", work, env=env).status == 0
    mined = found(work)
    write_mined(mined, {"run_id": "run-1"}, work / "mined.json")
    command = ("push", work / "mined.json", "--data", work, "--mode", "sheets", "--json")
    pushed = sparsedet_here(*command, env=env).json()
    assert (pushed["images"], pushed["boxes"], pushed["created"]) == (IMAGES, 3 * IMAGES, 1)

    log_in(page, label_studio)
    page.goto(pushed["url"])
    page.get_by_test_id("table-row").first.click()
    page.locator(".konvajs-content canvas").first.wait_for()
    page.get_by_test_id(SUBMIT).wait_for()
    expect(page.get_by_role("heading", name=f"orange ({3 * IMAGES})")).to_be_visible()
    regions = page.locator(".lsf-outliner-item")
    take_screenshots(page, "sheet")
    page.set_viewport_size({"width": 1500, "height": 1500})  # the list holds what is visible
    expect(regions).to_have_count(3 * IMAGES)
    by_score = {box.region_id: f"{box.score:.2f}" for box in mined}
    for gone in ("mined-wrong-1", "mined-wrong-2"):
        item = regions.filter(has_text=by_score[gone])
        item.click()
        page.keyboard.press("Backspace")
        expect(item).to_have_count(0)
    regions.filter(has_text=by_score["mined-parcel-3"]).click()
    page.keyboard.press("2")
    expect(regions.filter(has_text="parcel")).to_have_count(1)
    page.keyboard.press("Escape")
    regions.filter(has_text=by_score["mined-wrong-4"]).click()
    page.keyboard.press("n")
    expect(regions.filter(has_text="see the whole image")).to_have_count(1)
    finish(page, SUBMIT, "POST")

    outcomes = sparsedet_here("review", work, "--json", env=env).json()
    by_id = {box["region_id"]: box for box in outcomes["boxes"]}
    counts = {name: outcomes[name] for name in ("accepted", "edited", "rejected", "pending")}
    assert counts == {"accepted": 8, "edited": 1, "rejected": 2, "pending": 1}
    assert by_id["mined-wrong-4"]["outcome"] == "pending"
    assert by_id["mined-parcel-3"]["final_category"] == "parcel"
    for box in mined:
        final = by_id[box.region_id]["final_xyxy"]
        if by_id[box.region_id]["outcome"] in ("accepted", "edited"):
            assert final == pytest.approx(list(box.xyxy), abs=1.0)
