"""`sparsedet simulate`: the scripted reviewer on a workspace's pushes."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image as Picture

from sparsedet.annotations import Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.cli.app import app
from sparsedet.cli.commands.simulate import simulate
from sparsedet.errors import ToolError
from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.ledger import Ledger, Push
from sparsedet.loop.settings import ReviewSettings, Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import ModeName, ToReview
from sparsedet.reviews import Review
from sparsedet.simulation import Behaviour
from sparsedet.tool import ToolOptions
from tests.cli.command import Result, sparsedet, sparsedet_here

RIGHT = (100.0, 100.0, 200.0, 200.0)
WRONG = (400.0, 300.0, 500.0, 400.0)
CATEGORIES = (Category(1, "cat"),)
TRUTH = Dataset(
    (Image(1, "a.jpg", 640, 480), Image(2, "b.jpg", 640, 480)), (Box(1, 1, 1, RIGHT),), CATEGORIES
)
MINED = [MinedBox("right", 11, 1, RIGHT, 0.9, 0.5), MinedBox("wrong", 12, 1, WRONG, 0.8, 0.5)]
A, B = "11-0a1b2c3d-a.jpg", "12-0a1b2c3d-b.jpg"
"""The images in the project, with names that another tool has made of those in the truth."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of the project `cells` in the same folder; `full.json` next to it."""
    drawn = Dataset((Image(11, A, 640, 480), Image(12, B, 640, 480)), (), CATEGORIES)
    for image in drawn.images:
        Picture.new("L", (image.width, image.height)).save(tmp_path / image.file_name)
    tool = FilesTool(str(tmp_path))
    project = tool.set_up_project("Cells", drawn, tmp_path)
    workspace = Workspace(tmp_path / "work")
    write_coco(tool.pull(project, workspace.images), workspace.annotations)
    write_coco(TRUTH, tmp_path / "full.json")
    source = Source(tool="files", url=tool.url, project=project)
    workspace.write_settings(
        Settings(source=source, review=ReviewSettings(complete_control="done"))
    )
    return workspace


def files_tool(workspace: Workspace) -> FilesTool:
    return FilesTool(workspace.settings().source.url)


def push(
    workspace: Workspace, mode: ModeName = "review-project", project: str | None = None
) -> None:
    """Put the mined boxes up for review; the ledger remembers that as `mode`.

    `project`: another one than that of the settings.
    """
    source = workspace.settings().source
    source = source.model_copy(update={"project": project or source.project})
    pulled = read_coco(workspace.annotations)
    report = (
        files_tool(workspace)
        .push_modes["review-project"]
        .push(source.project, ToReview(pulled, MINED, "run"))
    )
    entry = Push(
        tool=source.tool, url=source.url, project=source.project,
        review_project=report.review_project, model_version="run", mode=mode,
    )  # fmt: skip
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(entry, MINED, pulled)


def play(workspace: Workspace, *arguments: str | Path) -> Result:
    """Run the command from the folder that holds the workspace."""
    return sparsedet_here(
        "simulate", "work", *arguments, "--truth", "full.json", cwd=workspace.root.parent
    )


def reviewed(workspace: Workspace) -> Mapping[str, Review]:
    """Return the submitted reviews, by file name."""
    found = files_tool(workspace).push_modes["review-project"].reviews("cells/review", ())
    return {review.tool_id: review for review in found.reviews}


def test_open_reviews_are_played_and_reported(workspace: Workspace) -> None:
    push(workspace)
    result = play(workspace, "--json", "--seconds-per-image", "10", "--leave", "1")
    assert result.status == 0, result.err
    (report,) = result.json()["review_projects"]
    assert report == {
        "tool": "files", "url": str(workspace.root.parent.resolve()), "project": "cells",
        "review_project": "cells/review", "images": 2, "reviewed": 1, "boxes": 1, "accepted": 1,
        "edited": 0, "rejected": 0, "unsure": 0, "drawn": 0, "complete": 1, "seconds": 10.7,
    }  # fmt: skip
    submitted = reviewed(workspace)
    assert set(submitted) == {A}
    assert [region.region_id for region in submitted[A].regions] == ["right"]
    assert (submitted[A].seconds, submitted[A].complete) == (10.7, True)

    rest = play(workspace)
    assert rest.status == 0, rest.err
    assert "reviewed 1 of 1 open image" in rest.out
    assert "1 mined box 0 accepted, 0 edited, 1 rejected; 0 missing boxes drawn" in rest.out
    assert "; 1 image marked complete" in rest.out
    assert "next: sparsedet round work" in rest.err
    submitted = reviewed(workspace)
    assert {id: len(image.regions) for id, image in submitted.items()} == {A: 1, B: 0}


def test_faults_and_neutral_objects_are_passed_on(workspace: Workspace) -> None:
    push(workspace)
    neutral = workspace.root.parent / "neutral.json"
    neutral.write_text(
        json.dumps([{"image_id": 2, "category_id": 1, "bbox": [400, 300, 100, 100], "score": 0.6}])
    )
    result = play(workspace, "--wrong-clicks", "1", "--neutral", neutral, "--json")
    assert result.status == 0, result.err
    (report,) = result.json()["review_projects"]
    names = ("accepted", "rejected", "unsure", "drawn", "complete")
    # The box that was deleted by mistake is drawn again, in its place.
    assert [report[name] for name in names] == [0, 1, 1, 1, 2]
    submitted = reviewed(workspace)
    assert [region.unsure for region in submitted[B].regions] == [True]
    assert [region.xyxy for region in submitted[A].regions] == [RIGHT]


def test_speed_and_drawing_are_passed_on(workspace: Workspace) -> None:
    write_coco(
        TRUTH.with_boxes([*TRUTH.boxes, Box(2, 2, 1, RIGHT), Box(3, 2, 1, (0, 0, 90, 90))]),
        workspace.root.parent / "full.json",
    )
    push(workspace)
    speed = [
        "--seconds-per-image", "1000", "--seconds-per-box", "100", "--seconds-per-action", "10",
        "--seconds-per-drawn-box", "1",
    ]  # fmt: skip
    first = play(workspace, *speed, "--draw-share", "0", "--budget", "1-image", "--json")
    assert first.status == 0, first.err
    (report,) = first.json()["review_projects"]
    assert (report["reviewed"], report["seconds"]) == (1, 1100.0)
    rest = play(workspace, *speed, "--jitter", "0.01")
    assert rest.status == 0, rest.err
    assert "in 1112 s of a reviewer's time" in rest.out
    assert "2 missing boxes drawn; 1 image marked complete" in rest.out
    boxes = [region.xyxy for region in reviewed(workspace)[B].regions]
    assert len(boxes) == 2
    assert RIGHT not in boxes, "drawn with a shaking hand"


def test_a_draw_share_of_zero_draws_nothing(workspace: Workspace) -> None:
    write_coco(
        TRUTH.with_boxes([*TRUTH.boxes, Box(2, 2, 1, RIGHT)]), workspace.root.parent / "full.json"
    )
    push(workspace)
    result = play(workspace, "--draw-share", "0", "--json")
    assert result.status == 0, result.err
    (report,) = result.json()["review_projects"]
    assert (report["drawn"], report["complete"], report["reviewed"]) == (0, 1, 2)


def test_a_budget_is_kept_over_all_review_projects(workspace: Workspace) -> None:
    """Two projects with two images each: a takes 2.7 s, b 5.2 s."""
    other = files_tool(workspace).set_up_project(
        "Other", read_coco(workspace.annotations), workspace.images
    )
    push(workspace)
    push(workspace, project=other)
    result = play(workspace, "--budget", "0.2min", "--json")
    assert result.status == 0, result.err
    reports = result.json()["review_projects"]
    assert [(report["reviewed"], report["images"]) for report in reports] == [(2, 2), (1, 2)]
    rest = play(workspace, "--budget", "3-images", "--json")
    assert [report["reviewed"] for report in rest.json()["review_projects"]] == [0, 1]


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        (None, [], "nothing was pushed yet: run `sparsedet round` first"),
        ("draft", [], "pushed as drafts"),
        ("review-project", ["--misses", "2"], "misses is 2.0, expected a share"),
        ("review-project", ["--leave", "-1"], "leave is -1"),
        ("review-project", ["--budget", "3 days"], "budget '3 days': expected a time or"),
        ("review-project", ["--draw-share", "nan"], "draw_share is nan, expected a share"),
        ("review-project", ["--seconds-per-box", "-1"], "seconds_per_box is -1.0, expected sec"),
        ("review-project", ["--seconds-per-drawn-box", "-1"], "seconds_per_drawn_box is -1.0"),
        ("review-project", ["--neutral", "no.json"], "no.json: no such file"),
    ],
)
def test_what_can_not_be_played_is_one_clear_line(
    mode: ModeName | None, arguments: list[str], message: str, workspace: Workspace
) -> None:
    if mode is not None:
        push(workspace, mode)
    refused = play(workspace, *arguments)
    assert message in refused.error()
    assert reviewed(workspace) == {}


def test_a_lost_ledger_is_said(workspace: Workspace) -> None:
    folder = workspace.round(1)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.push.write_text('{"model_version": "run-1", "review_project": "8"}')
    refused = play(workspace).error()
    assert "ledger.sqlite is missing or empty although rounds were pushed; " in refused
    assert "sparsedet review work rebuilds it" in refused


def test_a_tool_that_no_script_can_review_in_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(workspace)
    connections: list[tuple[str | None, str | None]] = []

    def integration(url: str | None, options: ToolOptions) -> Any:
        connections.append((url, options.complete_control))
        return object()

    monkeypatch.setattr("sparsedet.plugins.load_integration", lambda name: integration)
    with pytest.raises(ToolError, match="'files' does not support scripted reviews"):
        simulate(workspace.root.parent / "full.json", workspace.root)
    # The one place where the settings' control is seen: files have none.
    assert connections == [(workspace.settings().source.url, "done")]
    assert reviewed(workspace) == {}


@pytest.mark.label_studio
def test_it_plays_in_label_studio(label_studio: LocalServer, tmp_path: Path) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    for image in TRUTH.images:
        Picture.new("RGB", (image.width, image.height)).save(tmp_path / image.file_name)
    project = tool.set_up_project("To simulate", TRUTH.with_boxes(()), tmp_path)
    workspace = Workspace(tmp_path / "cells")
    pulled = tool.pull(project, workspace.images)
    write_coco(pulled, workspace.annotations)
    write_coco(TRUTH, tmp_path / "full.json")
    workspace.write_settings(
        Settings(source=Source(tool="label-studio", url=tool.url, project=project))
    )
    mined = [
        replace(box, image_id=image.id) for box, image in zip(MINED, pulled.images, strict=True)
    ]
    report = tool.push_modes["review-project"].push(project, ToReview(pulled, mined, "run"))
    entry = Push(
        tool="label-studio", url=tool.url, project=project, review_project=report.review_project,
        model_version="run",
    )  # fmt: skip
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(entry, mined, pulled)

    result = sparsedet(
        "simulate", workspace.root, "--truth", tmp_path / "full.json", "--json",
        env={"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key},
    )  # fmt: skip
    assert result.status == 0, result.err
    (counts,) = result.json()["review_projects"]
    assert (counts["accepted"], counts["rejected"], counts["complete"]) == (1, 1, 2)
    mode = tool.push_modes["review-project"]
    reviewed = mode.reviews(report.review_project, ()).reviews
    kept = [[region.region_id for region in image.regions] for image in reviewed]
    assert sorted(kept) == [[], ["right"]]
    assert [image.complete for image in reviewed] == [True, True]
    assert sorted(image.seconds or 0 for image in reviewed) == pytest.approx([2.7, 5.2])


def test_the_defaults_are_those_of_a_reviewer_without_faults() -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands["simulate"]
    defaults = {parameter.name: parameter.default for parameter in command.params}
    behaviour = Behaviour()
    for name in Behaviour.__dataclass_fields__:
        assert defaults[name] == getattr(behaviour, name)
