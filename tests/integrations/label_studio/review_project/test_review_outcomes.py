"""Outcomes from a real server, through the command line."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sparsedet.annotations import read_coco
from sparsedet.cli.app import app
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import set_up_project
from sparsedet.ledger import Ledger
from sparsedet.reviews import ReviewedRegion
from tests.cli.command import sparsedet, sparsedet_here
from tests.integrations.label_studio.samples import (
    FOUND_BY_MODEL,
    write_images,
    write_workspace_mined,
)

pytestmark = pytest.mark.label_studio

PER_IMAGE = len(FOUND_BY_MODEL)


@pytest.fixture(scope="module")
def env(label_studio: LocalServer) -> dict[str, str]:
    return {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}


def make_workspace(tool: LabelStudioTool, folder: Path, title: str, env: dict[str, str]) -> Path:
    """Pull a fresh project into a workspace, and push mined boxes from there."""
    drawn = write_images(folder / "source", count=3)
    project = set_up_project(tool.connection, title, drawn, folder / "source")
    workspace = folder / "workspace"
    pulled = run("pull", "--project", project, "-o", workspace, env=env)
    assert pulled == {
        "images": 3,
        "exhaustive": 0,
        "boxes": 6,
        "background": 0,
        "left_out": 0,
        "per_class": {"orange": 3, "parcel": 3},
        "workspace": str(workspace),
    }
    mined = write_workspace_mined(read_coco(workspace / "annotations.json"), workspace)
    pushed = run("push", mined, "--data", workspace, env=env)
    assert (pushed["created"], pushed["model_version"]) == (3, "run-1")
    return workspace


@pytest.fixture
def workspace(
    tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest, env: dict[str, str]
) -> Path:
    """A workspace of the test's own, to review in."""
    return make_workspace(tool, tmp_path, request.node.name[:40], env)


@pytest.fixture(scope="module")
def untouched(
    tool: LabelStudioTool, tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]
) -> Path:
    """A workspace in which nobody reviews anything."""
    return make_workspace(tool, tmp_path_factory.mktemp("untouched"), "Untouched", env)


def run(*arguments: str | Path, env: dict[str, str]) -> Any:
    """Run a command in this process, which spares the imports, and return what --json prints."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], env=env)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def review_project(folder: Path) -> str:
    return Ledger(folder / "ledger.sqlite", must_exist=True).pushes()[0].review_project


def totals(outcomes: dict[str, Any]) -> tuple[int, ...]:
    return tuple(outcomes[name] for name in ("accepted", "edited", "rejected", "pending"))


def test_every_outcome(workspace: Path, tool: LabelStudioTool, env: dict[str, str]) -> None:
    before = run("review", workspace, env=env)
    assert totals(before) == (0, 0, 0, 3 * PER_IMAGE)

    first, second, third = tool.open_reviews(review_project(workspace))
    kept = []
    for region in first.regions:
        left, top, right, bottom = region.xyxy
        if region.region_id.startswith("mined-wrong"):
            continue
        if region.region_id.startswith("mined-moved"):
            kept.append(replace(region, xyxy=(left + 1.5, top, right + 1.5, bottom)))
        elif region.region_id.startswith("mined-parcel"):
            kept.append(replace(region, category="orange"))
        elif region.region_id.startswith("mined-orange"):
            kept.append(replace(region, xyxy=(left + 0.5, top, right, bottom)))
        else:
            kept.append(region)
    first.submit(kept, seconds=12.5)
    # A skipped task keeps the whole prediction in a cancelled annotation: no review.
    tool.connection.client.annotations.create(
        second.task.id,
        result=[dict(region) for region in second.prediction.result],
        was_cancelled=True,
        parent_prediction=second.prediction.id,
    )
    # A review from scratch, without having seen the prediction, rejects nothing.
    tool.connection.client.annotations.create(third.task.id, result=[])

    outcomes = run("review", workspace, "-o", workspace / "out.json", env=env)
    by_name = {
        box["region_id"].rpartition("-")[0]: box
        for box in outcomes["boxes"]
        if box["image_tool_id"] == first.tool_id
    }
    assert {name: box["outcome"] for name, box in by_name.items()} == {
        "mined-orange": "accepted",  # half a pixel is no edit
        "mined-parcel": "edited",
        "mined-moved": "edited",
        "mined-wrong": "rejected",
    }
    assert totals(outcomes) == (1, 2, 1, 2 * PER_IMAGE)
    assert outcomes["by_category"]["parcel"] == {
        "accepted": 0,
        "edited": 1,
        "rejected": 1,
        "pending": 4,
        "withdrawn": 0,
        "sampled": 0,
        "drawn": 0,
    }
    assert by_name["mined-parcel"]["final_category"] == "orange"
    moved = by_name["mined-moved"]
    assert moved["final_xyxy"] == pytest.approx([471.5, 120, 561.5, 210], abs=1e-3)
    assert moved["xyxy"] == pytest.approx([470, 120, 560, 210])
    assert moved["seconds"] == 12.5
    assert moved["reviewer"] == "admin@example.com"
    assert by_name["mined-wrong"]["final_xyxy"] is None
    assert json.loads((workspace / "out.json").read_text()) == outcomes


def test_a_withdrawn_review_withdraws_its_outcomes(
    workspace: Path, tool: LabelStudioTool, env: dict[str, str]
) -> None:
    project = review_project(workspace)
    image = tool.open_reviews(project)[0]
    image.submit(image.regions)
    accepted = run("review", workspace, env=env)
    assert totals(accepted) == (PER_IMAGE, 0, 0, 2 * PER_IMAGE)
    (annotation,) = tool.connection.client.annotations.list(image.task.id)
    assert annotation.id
    tool.connection.client.annotations.delete(annotation.id)
    assert totals(run("review", workspace, env=env))[3] == 3 * PER_IMAGE


def test_rejections_outlive_deleted_predictions(
    workspace: Path, tool: LabelStudioTool, env: dict[str, str]
) -> None:
    image = tool.open_reviews(review_project(workspace))[0]
    image.submit([r for r in image.regions if not r.region_id.startswith("mined-wrong")])
    expected = (PER_IMAGE - 1, 0, 1, 2 * PER_IMAGE)
    assert totals(run("review", workspace, env=env)) == expected
    tool.connection.client.predictions.delete(image.prediction.id)
    assert totals(run("review", workspace, env=env)) == expected


def test_pushing_again_changes_nothing(untouched: Path, env: dict[str, str]) -> None:
    result = sparsedet("push", untouched / "mined.json", "--data", untouched, "--json", env=env)
    again = result.json()
    assert (again["created"], again["new_in_ledger"]) == (0, 0)
    assert result.err == ""


def test_a_lost_ledger_is_filled_by_pushing_again(untouched: Path, env: dict[str, str]) -> None:
    (untouched / "ledger.sqlite").unlink()
    again = run("push", untouched / "mined.json", "--data", untouched / "train.json", env=env)
    assert (again["created"], again["new_in_ledger"]) == (0, 3 * PER_IMAGE)
    assert again["ledger"] == str(untouched / "ledger.sqlite")


def test_the_key_reaches_no_file_and_no_output(
    workspace: Path, tool: LabelStudioTool, label_studio: LocalServer, env: dict[str, str]
) -> None:
    image = tool.open_reviews(review_project(workspace))[0]
    image.submit(image.regions)
    for arguments in [
        ("--debug", "pull", "-o", workspace),
        ("--debug", "push", workspace / "mined.json", "--data", workspace),
        ("--debug", "review", workspace, "-o", workspace / "reviewed.json"),
        ("--debug", "pull", "-o", workspace.parent / "other", "--project", "987654"),
    ]:
        # Its own process prints the traceback that ends the last of them.
        command = sparsedet if "987654" in arguments else sparsedet_here
        result = command(*arguments, env=env)
        assert "DEBUG: " in result.err
        assert label_studio.api_key not in result.out + result.err
    for path in workspace.rglob("*"):
        if path.is_file():
            assert label_studio.api_key.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("review", "{empty}"), "no ledger here: is this the folder of a workspace"),
        (("pull", "-o", "{empty}"), "missing project: pass --project"),
        (("pull", "-o", "{workspace}", "--project", "1234567"), "already contains project"),
        (("push", "{workspace}/mined.json", "--data", "{empty}/x.json"), "no such file"),
        (("push", "{workspace}/mined.json", "--data", "{copy}"), "missing project: pass"),
        (("push", "{empty}/none.json", "--data", "{workspace}"), "no such file"),
    ],
)
def test_mistakes_are_one_line(
    untouched: Path, tmp_path: Path, env: dict[str, str], arguments: tuple[str, ...], message: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    copy = Path(shutil.copy(untouched / "annotations.json", tmp_path))
    filled = [text.format(workspace=untouched, empty=empty, copy=copy) for text in arguments]
    assert message in sparsedet_here(*filled, env=env).error()


def test_for_people_there_is_a_table(untouched: Path, env: dict[str, str]) -> None:
    result = sparsedet_here("review", untouched, env=env)
    assert result.status == 0
    for word in ("accepted", "rejected", "orange", "parcel", "all"):
        assert word in result.out


def test_what_a_reviewer_draws_is_an_annotation_of_the_next_pull(
    workspace: Path, tool: LabelStudioTool, env: dict[str, str]
) -> None:
    image = tool.open_reviews(review_project(workspace))[0]
    drawn = ReviewedRegion("drawn-by-ann", "parcel", (300.0, 300.0, 360.0, 340.0))
    human = next(region for region in image.regions if region.region_id == "human-orange")
    left = [region for region in image.regions if region.region_id != "human-parcel"]
    moved = replace(human, xyxy=(70.0, 230.0, 170.0, 330.0))
    regions = [moved if region is human else region for region in left]
    image.submit([*regions, drawn], complete=True)
    pulled = run("pull", "-o", workspace, env=env)
    # Two human boxes on each image, one of them deleted, one drawn, the mined ones accepted.
    assert pulled["boxes"] == 6 - 1 + 1 + PER_IMAGE
    assert pulled["exhaustive"] == 1
    dataset = read_coco(workspace / "annotations.json")
    boxes = {box.tool_id: box for box in dataset.boxes_by_image[int(image.tool_id)]}
    assert "human-parcel" not in boxes
    assert boxes["human-orange"].xyxy == pytest.approx(moved.xyxy, abs=1e-3)
    assert boxes["drawn-by-ann"].xyxy == pytest.approx(drawn.xyxy, abs=1e-3)
    assert boxes["drawn-by-ann"].origin == "human"
    without = run("pull", "-o", workspace, "--no-feedback", env=env)
    assert (without["boxes"], without["exhaustive"]) == (6, 0)
