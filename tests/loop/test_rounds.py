"""Rounds end with the same files, however the process is interrupted."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsedet.annotations import Category, Dataset, read_coco, write_coco
from sparsedet.annotations.mined_boxes import read_mined
from sparsedet.completeness.candidate_file import read_candidates
from sparsedet.completeness.proposals import hidden_from
from sparsedet.config.training_config import read_config
from sparsedet.errors import RunError
from sparsedet.integrations.files import FilesTool
from sparsedet.ledger import Ledger
from sparsedet.loop.live_model import find_served_run, load_live_model
from sparsedet.loop.round_report import review_projects
from sparsedet.loop.settings import Settings, Source, TrainingSettings, ValidationSettings
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation import Behaviour, Reviewer, plan_reviews
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes
from tests.cli.command import sparsedet, sparsedet_here

KEYS: dict[str, Any] = {
    "SOLVER.MAX_ITER": 40,
    "SPARSEDET.STAGED.MIN_ITER": 0,
    "SOLVER.WARMUP_ITERS": 5,
    "SOLVER.CHECKPOINT_PERIOD": 10,
    "SOLVER.IMS_PER_BATCH": 2,
}
STEPS = ("pull", "split", "train", "evaluate", "mine", "push")


def one_class(scenes: Dataset) -> Dataset:
    """Digits of any kind as one class: learned in seconds."""
    boxes = tuple(replace(box, category_id=1) for box in scenes.boxes)
    return replace(scenes, boxes=boxes, categories=(Category(1, "digit"),))


def make_workspace(folder: Path) -> Dataset:
    """Make a project of sparse scenes and a workspace next to it; return the full annotations."""
    full = one_class(make_scenes(16, folder / "scenes", seed=5))
    sparse, _ = remove_boxes(full, load_recipe("random").with_drop(0.5), seed=1)
    tool = FilesTool(str(folder))
    project = tool.set_up_project("digits", sparse, folder / "scenes")
    (folder / "work").mkdir()
    (folder / "work" / "owner.id").write_text("one name for all\n")
    Workspace(folder / "work").write_settings(
        Settings(
            source=Source(tool="files", url=tool.url, project=project),
            training=TrainingSettings(device="cpu", keys=KEYS),
            validation=ValidationSettings(share=0.2),
        )
    )
    return full


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """A folder in which the first round went through at once, and the full annotations."""
    folder = tmp_path_factory.mktemp("finished")
    full = make_workspace(folder)
    result = sparsedet("round", "work", "--json", cwd=folder)
    assert result.status == 0, result.err
    report = result.json()
    assert (report["round"], report["state"]) == (1, "pushed")
    # Those of the blind sample are not shown.
    assert report["mined"] >= report["up_for_review"] > 0
    assert "objects have a box" in report["estimate"]
    return folder, full


def copied(folder: Path, to: Path) -> None:
    """Copy the folder of a project and its workspace, for a test that changes it."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    settings = to / "work/sparsedet.toml"
    settings.write_text(settings.read_text().replace(str(folder), str(to)))


class Killed:
    """`sparsedet round` in a process of its own, killed without warning."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sparsedet", "round", "work"],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def lines(self) -> Iterator[str]:
        """Yield what it says, as it says it."""
        assert self.process.stderr
        return iter(self.process.stderr)

    def kill_after(self, beginning: str) -> list[str]:
        """Kill it as soon as it says a line of this beginning; return what it said until then."""
        said = []
        for line in self.lines():
            said.append(line.rstrip())
            if line.startswith(beginning):
                break
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert said, beginning
        assert said[-1].startswith(beginning), said
        return said


def finished_steps(folder: Path) -> dict[str, int]:
    """Return the result files of the finished steps and when they were written."""
    root = folder / "work/rounds/001"
    mined = ("run/mining/stage1.json", "run/mining/stage2.json")
    names = (
        "annotations.json",
        "train.json",
        *mined,
        "run/model.pth",
        "evaluation.json",
        "mined.json",
        "push.json",
    )
    return {name: (root / name).stat().st_mtime_ns for name in names if (root / name).exists()}


def content(folder: Path) -> dict[str, Any]:
    """Return everything that a round leaves, but for times and absolute paths."""
    root = folder / "work"
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or any(part in name for part in ("tensorboard", "checkpoints")):
            continue
        if path.suffix == ".pth":
            weights = torch.load(path, weights_only=True)["model"]
            found[name] = {key: value.sum().item() for key, value in weights.items()}
        elif path.suffix in (".json", ".yaml") and "metrics" not in name:
            text = path.read_text().replace(str(folder), "")
            found[name] = re.sub(r'"date_created": ?"[^"]*"', "", text)
        else:
            found[name] = None
    with sqlite3.connect(root / "ledger.sqlite") as ledger:
        rows = ledger.execute("select region_id, score, outcome, round from boxes order by 1")
        found["ledger"] = rows.fetchall()
    return found


def test_a_round_killed_at_every_step_ends_in_the_same_files(
    finished: tuple[Path, Dataset], tmp_path: Path
) -> None:
    make_workspace(tmp_path)
    done: dict[str, int] = {}
    moments = [f"round 1: {step}" for step in STEPS]
    moments[3:3] = ["stage1 15/40", "mined", "stage3 40/40"]
    for moment in moments:
        said = Killed(tmp_path).kill_after(moment)
        now = finished_steps(tmp_path)
        assert done.items() <= now.items(), f"done twice before {moment}: {said}"
        done = now
    result = sparsedet("round", "work", "--json", cwd=tmp_path)
    assert result.status == 0, result.err
    assert done.items() <= finished_steps(tmp_path).items()
    assert content(tmp_path) == content(finished[0])


def test_the_next_round_waits_for_reviews_and_learns_from_them(
    finished: tuple[Path, Dataset], tmp_path: Path
) -> None:
    folder, full = tmp_path, finished[1]
    copied(finished[0], folder)
    waiting = sparsedet_here("round", "work", "--json", cwd=folder).json()
    assert (waiting["round"], waiting["state"]) == (1, "waiting")

    workspace, tool = Workspace(folder / "work"), FilesTool(str(folder))
    first = workspace.round(1)
    review_project = json.loads(first.push.read_text())["review_project"]
    dataset = read_coco(first.annotations)
    open_images = len(tool.open_reviews(review_project))
    assert open_images > 2
    # Whoever draws all that is missing makes a second round needless.
    judge = Reviewer(full, behaviour=Behaviour(draw_share=0.0))
    reviewed = plan_reviews(tool, review_project, dataset, judge, leave=2).submit()
    assert reviewed.accepted > 0
    assert reviewed.rejected > 0

    result = sparsedet("round", "work", "--json", cwd=folder)
    assert result.status == 0, result.err
    report = result.json()
    assert (report["round"], report["state"]) == (2, "pushed")
    # Nearly all of what is missing is on images that somebody has reviewed.
    shares = [read_candidates(workspace.round(n).candidates).earlier.unreviewed for n in (1, 2)]
    assert shares[0] == 1
    assert 0 < shares[1] < 0.7
    second = read_coco(workspace.round(2).annotations)
    origins = [box.origin for box in second.boxes]
    assert origins.count("accepted") == reviewed.accepted
    assert origins.count("edited") == reviewed.edited
    assert len(second.verified_negatives) == reviewed.rejected
    assert sum(image.exhaustive for image in second.images) == reviewed.complete
    assert read_config(workspace.round(2).run.config).staged.min_missing == 0
    # Of the two images that nobody looked at, the newer model's boxes are up, if it found any.
    assert outcomes_of(workspace, 1) == {"accepted", "rejected", "edited", "withdrawn"}
    assert report["up_for_review"] == report["mined"]
    status = sparsedet_here("status", "work", "--json", cwd=folder).json()
    assert [entry["round"] for entry in status["rounds"]] == [1, 2]


def outcomes_of(workspace: Workspace, number: int) -> set[str]:
    """Return which outcomes boxes of a round have."""
    with closing(Ledger(workspace.ledger)) as ledger:
        return {box.outcome for box in ledger.boxes() if box.round == number}


def test_a_folder_without_settings_is_one_clear_line(tmp_path: Path) -> None:
    assert (
        "run `sparsedet init` or `sparsedet pull`" in sparsedet_here("round", cwd=tmp_path).error()
    )


def test_validation_images_stay_out_of_training(finished: tuple[Path, Dataset]) -> None:
    folder = Workspace(finished[0] / "work").round(1)
    train, val = read_coco(folder.train), read_coco(folder.val)
    everything = read_coco(folder.annotations)
    assert val.images
    assert {image.id for image in train.images} | {image.id for image in val.images} == {
        image.id for image in everything.images
    }
    assert len(train.images) + len(val.images) == len(everything.images)
    assert json.loads(folder.evaluation.read_text())["images"] == len(val.images)


def test_boxes_go_where_judging_them_takes_least_time(
    finished: tuple[Path, Dataset], tmp_path: Path
) -> None:
    """Mode `auto`: on sheets where nothing is to be drawn, on their images where something is."""
    folder, full = finished
    copied(folder, tmp_path)
    work = tmp_path / "work"
    first = Workspace(work).round(1)
    first.push.unlink()
    shutil.rmtree(tmp_path / "digits/review")
    for file in work.glob("ledger.sqlite*"):
        file.unlink()
    settings = (work / "sparsedet.toml").read_text()
    settings = settings.replace('mode = "review-project"', 'mode = "auto"')
    # A modest goal: judging boxes gets there, drawing can wait.
    settings = re.sub(r"stop_at = .*", "stop_at = 0.5", settings)
    (work / "sparsedet.toml").write_text(settings)

    result = sparsedet_here("round", work, "--json")
    assert result.status == 0, result.err
    assert result.json()["sheets_url"]
    assert result.json()["sheets_url"] != result.json()["url"]
    images_place, sheets_place = review_projects(first)
    tool = FilesTool(str(tmp_path))
    sheets, images = tool.open_reviews(sheets_place), tool.open_reviews(images_place)
    assert all(one.sheet is not None for one in sheets)
    assert all(one.sheet is None for one in images)
    up = [id for one in (*sheets, *images) for id in one.scores]
    assert len(up) == len(set(up)) == result.json()["up_for_review"]
    opened = {one.tool_id for one in images}
    on_sheets = {crop.tool_id for one in sheets if one.sheet for crop in one.sheet.crops}
    assert on_sheets
    assert not on_sheets & opened

    write_coco(full, tmp_path / "full.json")
    played = sparsedet_here("simulate", work, "--truth", tmp_path / "full.json", "--json").json()
    by_place = {one["review_project"]: one for one in played["review_projects"]}
    assert list(by_place) == [sheets_place, images_place]
    assert sum(one["boxes"] for one in by_place.values()) == len(up)
    assert by_place[sheets_place]["images"] == len(sheets)
    counts = sparsedet_here("review", work, "--json").json()
    assert counts["pending"] == 0
    assert counts["accepted"] + counts["edited"] + counts["rejected"] == len(up)

    # The files of the round say where every box is.
    for file in work.glob("ledger.sqlite*"):
        file.unlink()
    again = sparsedet_here("review", work, "--json").json()
    names = ("accepted", "edited", "rejected", "pending")
    assert {name: again[name] for name in names} == {name: counts[name] for name in names}


def test_a_live_model_shows_what_the_round_mined(finished: tuple[Path, Dataset]) -> None:
    workspace = Workspace(finished[0] / "work")
    folder = workspace.round(1)
    served = find_served_run(None, workspace)
    assert (served.run.root, served.round) == (folder.run.root, folder)
    model = load_live_model(served, "cpu")
    dataset = read_coco(folder.annotations)
    # Where annotations were hidden, the round took no notice of them; a live model does.
    hidden = hidden_from(dataset, read_coco(folder.run.training_data))
    partly = {box.image_id for box in dataset.boxes if box.id in hidden}
    expected = {
        box.region_id: box.expected_precision
        for box in read_mined(folder.mined, dataset)
        if box.image_id not in partly
    }
    assert expected
    found = [
        model.propose(dataset.with_images([image]), workspace.images)
        for image in dataset.images
        if image.id not in partly
    ]
    shown = {box.region_id: box.expected_precision for boxes in found for box in boxes}
    assert shown.keys() == expected.keys()
    assert [shown[id] for id in expected] == pytest.approx(list(expected.values()), abs=0.01)


def test_nothing_is_served_before_a_round_has_finished(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no round has finished yet"):
        find_served_run(None, Workspace(tmp_path))
