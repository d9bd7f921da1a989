"""`sparsedet simulate`: the scripted reviewer on whatever a workspace has pushed."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main
from PIL import Image as Picture

from sparsedet.annotations import Box, Category, Dataset, Image, write_coco
from sparsedet.cli.app import app
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.server import LocalServer
from sparsedet.ledger import Ledger, Push
from sparsedet.mining.mined import MinedBox
from sparsedet.settings import ReviewSettings, Settings, Source
from sparsedet.simulation import Behaviour
from sparsedet.tool import PushMode
from sparsedet.workspace import Workspace
from tests.cli.command import Result, sparsedet
from tests.simulation.review_folder import make_review_project, reviews_in

REPOSITORY = Path(__file__).parent.parent.parent

RIGHT = (100.0, 100.0, 200.0, 200.0)
WRONG = (400.0, 300.0, 500.0, 400.0)
CATEGORIES = (Category(1, "cat"),)
PULLED = Dataset(
    tuple(Image(id, f"{id}-0a1b2c3d-{name}.jpg", 640, 480, tool_id=str(id))
          for id, name in ((11, "a"), (12, "b"))),
    (),
    CATEGORIES,
)  # fmt: skip
TRUTH = Dataset(
    (Image(1, "a.jpg", 640, 480), Image(2, "b.jpg", 640, 480)), (Box(1, 1, 1, RIGHT),), CATEGORIES
)
MINED = [MinedBox("right", 11, 1, RIGHT, 0.9, 0.5), MinedBox("wrong", 12, 1, WRONG, 0.8, 0.5)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace whose settings name the control `done`; `full.json` beside it."""
    workspace = Workspace(tmp_path / "cells")
    workspace.root.mkdir()
    write_coco(PULLED, workspace.annotations)
    write_coco(TRUTH, tmp_path / "full.json")
    source = Source(tool="review-folder", url="folder:", project="7")
    workspace.write_settings(
        Settings(source=source, review=ReviewSettings(complete_control="done"))
    )
    return workspace


def push(
    workspace: Workspace, tool: str = "review-folder", mode: PushMode = "review-project"
) -> Path:
    """Put the mined boxes into a review project; return its folder."""
    folder = workspace.root / "review"
    make_review_project(
        folder,
        {str(box.image_id): [(box.region_id, "cat", box.xyxy, box.score)] for box in MINED},
    )
    entry = Push(
        tool=tool, url="folder:", project="7", review_project=str(folder), model_version="run",
        mode=mode,
    )  # fmt: skip
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(entry, MINED, PULLED)
    return folder


def simulate(workspace: Workspace, *arguments: str | Path) -> Result:
    """Run the command, with the tools of `tests.simulation.review_folder` installed."""
    plugin = workspace.root.parent / "plugin"
    info = plugin / "review_folder-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: review-folder\nVersion: 1.0\n", encoding="utf-8"
    )
    module = "tests.simulation.review_folder"
    info.joinpath("entry_points.txt").write_text(
        "[sparsedet.integrations]\n"
        f"review-folder = {module}:ReviewFolder\n"
        f"read-only = {module}:ReadOnlyFolder\n",
        encoding="utf-8",
    )
    return sparsedet(
        "simulate", *arguments, "--truth", "full.json",
        cwd=workspace.root.parent, env={"PYTHONPATH": f"{plugin}:{REPOSITORY}"},
    )  # fmt: skip


def test_open_reviews_are_played_and_reported(workspace: Workspace) -> None:
    review = push(workspace)
    result = simulate(workspace, "cells", "--json", "--seconds-per-image", "10", "--leave", "1")
    assert result.status == 0, result.err
    (report,) = result.json()["review_projects"]
    assert report == {
        "tool": "review-folder", "url": "folder:", "project": "7", "review_project": str(review),
        "images": 2, "reviewed": 1, "boxes": 1, "accepted": 1, "edited": 0, "rejected": 0,
        "unsure": 0, "complete": 1, "seconds": 10.0,
    }  # fmt: skip
    (submitted,) = reviews_in(review).values()
    assert submitted["complete"] == "done"

    rest = simulate(workspace, "cells")
    assert rest.status == 0, rest.err
    assert "reviewed 1 of 1 open images" in rest.out
    assert "1 mined boxes 0 accepted, 0 edited, 1 rejected" in rest.out
    assert "next: sparsedet round cells" in rest.err
    assert set(reviews_in(review)) == {"11", "12"}


def test_faults_and_neutral_objects_are_passed_on(workspace: Workspace) -> None:
    push(workspace)
    neutral = workspace.root.parent / "neutral.json"
    neutral.write_text(
        json.dumps([{"image_id": 2, "category_id": 1, "bbox": [400, 300, 100, 100], "score": 0.6}])
    )
    result = simulate(workspace, "cells", "--wrong-clicks", "1", "--neutral", neutral, "--json")
    assert result.status == 0, result.err
    (report,) = result.json()["review_projects"]
    counts = {name: report[name] for name in ("accepted", "rejected", "unsure", "complete")}
    assert counts == {"accepted": 0, "rejected": 1, "unsure": 1, "complete": 0}


@pytest.mark.parametrize(
    ("tool", "mode", "arguments", "message"),
    [
        (None, "review-project", [], "`sparsedet push` makes it"),
        ("review-folder", "draft", [], "pushed as drafts"),
        (
            "read-only",
            "review-project",
            [],
            "integration 'read-only' can't be reviewed by a script",
        ),
        ("review-folder", "review-project", ["--misses", "2"], "misses is 2.0, expected a share"),
        ("review-folder", "review-project", ["--leave", "-1"], "leave is -1"),
        ("review-folder", "review-project", ["--neutral", "no.json"], "no.json: no such file"),
    ],
)
def test_what_can_not_be_played_is_one_clear_line(
    tool: str | None, mode: PushMode, arguments: list[str], message: str, workspace: Workspace
) -> None:
    if tool is not None:
        push(workspace, tool, mode)
    refused = simulate(workspace, "cells", *arguments)
    assert message in refused.error()
    assert not list(workspace.root.glob("review/review-*.json"))


@pytest.mark.label_studio
def test_it_plays_in_label_studio(label_studio: LocalServer, tmp_path: Path) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    for image in TRUTH.images:
        Picture.new("RGB", (image.width, image.height)).save(tmp_path / image.file_name)
    project = tool.fill("To simulate", TRUTH.with_boxes(()), tmp_path)
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
    report = tool.push(project, pulled, mined, model_version="run")
    entry = Push(
        tool="label-studio", url=tool.url, project=project, review_project=report.review_project,
        model_version="run",
    )  # fmt: skip
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(entry, mined, pulled)

    result = sparsedet(
        "simulate", workspace.root, "--truth", tmp_path / "full.json", "--json",
        env={"LABEL_STUDIO_API_KEY": label_studio.api_key},
    )  # fmt: skip
    assert result.status == 0, result.err
    (counts,) = result.json()["review_projects"]
    assert (counts["accepted"], counts["rejected"], counts["complete"]) == (1, 1, 2)
    reviewed = tool.reviewed(report.review_project)
    kept = [[region.region_id for region in image.regions] for image in reviewed]
    assert sorted(kept) == [[], ["right"]]
    assert [image.complete for image in reviewed] == [True, True]
    assert sorted(image.seconds or 0 for image in reviewed) == [2.0, 3.5]


def test_the_defaults_are_those_of_a_reviewer_without_faults() -> None:
    command = typer.main.get_command(app).commands["simulate"]  # type: ignore[attr-defined]
    defaults = {parameter.name: parameter.default for parameter in command.params}
    behaviour = Behaviour()
    for name in Behaviour.__dataclass_fields__:
        assert defaults[name] == getattr(behaviour, name)
