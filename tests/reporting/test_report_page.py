"""The page of a report: links, crops, curves, and appearance."""

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sparsedet.annotations import Box, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger
from sparsedet.loop.last_reading import ReadPlace, name_of, write_reading
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting.pictures import write_picture
from sparsedet.reporting.report import write_report
from tests.integrations.label_studio.browser import open_browser
from tests.reporting.page import Page
from tests.reporting.workspaces import (
    CATEGORIES,
    HOSTILE,
    add_round,
    make_workspace,
    mined_boxes,
    review,
)

SERVER = "http://localhost:8080"
BOUND = 6_000_000
"""Bytes of a page about 5,000 mined boxes: a mail takes it, and a browser opens it at once."""


def report(workspace: Workspace, **options: Any) -> Page:
    path = workspace.root / "report.html"
    write_report(workspace, path, title="Cells", **options)
    return Page(path)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A reviewed round on Label Studio; an image's name is hostile, as is a class's."""
    workspace = make_workspace(tmp_path)
    workspace.write_settings(Settings(source=Source(tool="label-studio", url=SERVER, project="7")))
    dataset = read_coco(workspace.annotations)
    names = {"t1": "12-1f0c2a9b-cell.png", "t2": "13-<b onclick='x'>\"&.png"}
    images = []
    for image in dataset.images:
        tool_id = {"t1": "12", "t2": "13"}.get(image.tool_id or "", image.tool_id)
        name = names.get(image.tool_id or "", image.file_name)
        (workspace.images / image.file_name).rename(workspace.images / name)
        images.append(replace(image, file_name=name, tool_id=tool_id))
    dataset = replace(dataset, images=tuple(images))
    mined = [
        replace(box, expected_precision=0.85)
        for box in (*mined_boxes(1, 1, 3), *mined_boxes(1, 2, 2))
    ]
    reviews = [replace(review(1, mined, rejected="r1i1b2"), tool_id="12")]
    add_round(workspace, 1, dataset, mined, reviews, server=SERVER)
    estimate = {"text": "75 % complete", "share": 0.75, "low": 0.6, "high": 0.9, "by_class": {}}
    workspace.round(1).estimate.write_text(json.dumps(estimate))
    with closing(Ledger(workspace.ledger)) as ledger:
        (place,) = ledger.places()
    at = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    write_reading(workspace.ledger, [ReadPlace(name_of(place), "", {"12": "31"})], at)
    return workspace


def test_every_picture_leads_to_its_task(workspace: Workspace) -> None:
    page = report(workspace)

    first, second = f"{SERVER}/projects/8/data?task=31", f"{SERVER}/projects/7/data?task=13"
    assert {link["href"] for link in page.links} == {first, second}
    # Each picture and its name, and each crop.
    assert len(page.links) == 2 * 2 + 5
    assert len(page.images) == 2 + 5
    assert all(link["rel"] == "noopener noreferrer" for link in page.links)


def test_original_names_are_shown_and_nothing_of_theirs_is_markup(workspace: Workspace) -> None:
    page = report(workspace)

    assert "cell.png" in page.text
    assert "1f0c2a9b" not in page.path.read_text()
    assert "<b onclick='x'>\"&.png" in page.text
    assert HOSTILE in page.text
    assert not {"b", "script"} & page.tags


def test_crops_say_of_how_many_they_are(workspace: Workspace) -> None:
    page = report(workspace, shown_crops=1)

    crops = page.text.partition("Mined boxes by class")[2]
    assert "cell · 3 mined Surest · 1 of 2" in crops
    assert "Rejected, most certain first · 1 of 1 0.90 · expected 85.0 % ■ rejected" in crops
    assert f"{HOSTILE} · 2 mined" in crops
    assert "Mined boxes by class" not in report(workspace, shown_crops=0).text


def test_curves_and_their_figures_are_there(workspace: Workspace) -> None:
    page = report(workspace)

    assert page.path.read_text().count("<svg") == 3
    assert "Estimated completeness, % (90 % interval)" in page.text
    assert "minutes of review" in page.text
    assert "round 1: 75" in page.text
    assert "Accepted by reviewers, % (90 % interval)" in page.text
    assert page.tables["reliability"][1:] == [
        ["80-90 %", "3", "85.0 %", "66.7 %", "25.4 % to 92.2 %"]
    ]
    assert page.tables["rounds"][1][-2:] == ["75.0 %", "-"]
    assert "Reviews as of 2026-05-04 12:30 UTC." in page.text
    assert len(page.ids) == len(set(page.ids))


def test_without_review_times_completeness_is_by_round(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.mark_gone(ledger.places()[0])
    workspace.ledger.unlink()

    page = report(workspace)

    assert "Estimated completeness" in page.text
    assert "minutes of review" not in page.text
    assert "reliability" not in page.tables


def test_only_links_name_a_server(workspace: Workspace) -> None:
    page = report(workspace)
    text = re.sub(r'<a href="http[^"]*"', "<a", page.path.read_text())

    namespaces = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert set(re.findall(r"""https?://[^"'\s<]+""", text)) == namespaces
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.images)
    assert all(image["loading"] == "lazy" for image in page.images)
    assert "default-src 'none'" in text


@pytest.mark.browser
def test_pictures_of_any_proportions_lie_in_rows_of_one_height(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    sizes = [(160, 120), (120, 240), (300, 100), (60, 400), (200, 200), (90, 160)]
    images, boxes = [], []
    for number, size in enumerate(sizes, start=1):
        pixels = np.full((size[1], size[0], 3), 90, dtype=np.uint8)
        write_picture(pixels, workspace.images / f"{number}.png")
        images.append(Image(number, f"{number}.png", *size, tool_id=f"t{number}"))
        boxes.append(Box(number, number, 1, (5, 5, 30, 30)))
    write_coco(Dataset(tuple(images), tuple(boxes), CATEGORIES), workspace.annotations)
    page = report(workspace)

    with open_browser() as browser:
        requests: list[str] = []
        browser.on("request", lambda request: requests.append(request.url))
        for width in (1280, 700, 400):
            browser.set_viewport_size({"width": width, "height": 900})
            browser.goto(page.path.as_uri())
            found = browser.locator(".pictures img").evaluate_all(
                "all => all.map(one => { const at = one.getBoundingClientRect();"
                " return [at.left, at.top, at.right, at.bottom]; })"
            )
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            rows: dict[int, list[float]] = {}
            for _, top, _, bottom in found:
                rows.setdefault(round(top), []).append(bottom - top)
            assert len(found) == len(sizes)
            assert len(rows) < len(sizes) or width == 400
            for heights in rows.values():
                assert max(heights) - min(heights) < 3
            assert max(height for heights in rows.values() for height in heights) < 700
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_five_thousand_boxes_make_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, images=0)
    random = np.random.default_rng(1)
    images = []
    for number in range(1, 101):
        coarse = random.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).astype(int)
        pixels = np.clip(pixels + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
        write_picture(pixels, workspace.images / f"{number}.jpg")
        images.append(Image(number, f"{number}.jpg", 640, 480, tool_id=f"t{number}"))
    dataset = Dataset(tuple(images), (), CATEGORIES)
    for round_number in range(1, 6):
        mined = []
        for number, (x, y, edge) in enumerate(random.integers(20, 400, (1000, 3)).tolist()):
            place = (float(x), float(y), float(x + edge % 90 + 10), float(min(y + 60, 479)))
            chance = float(random.uniform(0.3, 1))
            id, image = f"r{round_number}b{number}", 1 + number % 100
            mined.append(MinedBox(id, image, 1 + number % 2, place, chance, 0.3, chance))
        add_round(workspace, round_number, dataset, mined)

    page = report(workspace)

    assert page.tables["rounds"][-1][2] == "5,000"
    assert len(page.images) == 5 * 6 + 2 * 2 * 6
    assert "Surest · 6 of 2,500" in page.text
    assert page.path.stat().st_size < BOUND
