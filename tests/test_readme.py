"""The commands of README and manual run as written; only trainings are shortened."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from sparsedet.annotations import Box, Category, Dataset, read_coco, write_coco
from sparsedet.annotations.matching import iou_matrix, match
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.config.training_config import load_config
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    CompleteMark,
    parse_config,
)
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.loop.round_report import review_projects
from sparsedet.loop.settings import Settings, read_settings, write_settings
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation import Behaviour, Reviewer, plan_reviews
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes
from tests.cli.command import Result, sparsedet
from tests.pages import block, commands

SHORT = [
    *("SOLVER.MAX_ITER", "60", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "5"),
    *("SPARSEDET.STAGED.MIN_ITER", "0"),
]


def for_project(lines: list[list[str]], project: str) -> list[list[str]]:
    """Put a project's number where the pages have 7."""
    return [[project if word == "7" else word for word in words] for words in lines]


def one_class(scenes: Dataset) -> Dataset:
    """Digits of any kind as one class: learned in a minute."""
    boxes = tuple(replace(box, category_id=1) for box in scenes.boxes)
    return replace(scenes, boxes=boxes, categories=(Category(1, "digit"),))


def run_all(lines: list[list[str]], folder: Path, env: dict[str, str]) -> dict[str, Result]:
    results = {}
    for words in lines:
        more = SHORT if words[0] == "train" else []
        result = sparsedet(*words, *more, cwd=folder, env=env)
        assert result.status == 0, (words, result.err)
        results[words[0]] = result
    return results


def found(mined: Sequence[MinedBox], removed: Dataset, pulled: Dataset) -> float:
    """Return the share of the removed boxes that the mined ones show, one to one."""
    hits = 0
    for image in pulled.images:
        scene = next(i for i in removed.images if image.file_name.endswith(i.file_name))
        boxes = [box.xyxy for box in mined if box.image_id == image.id]
        truth = [box.xyxy for box in removed.boxes_by_image[scene.id]]
        hits += int((match(iou_matrix(boxes, truth), 0.5) >= 0).sum())
    assert hits > 0.6 * len(mined)
    return hits / len(removed.boxes)


@dataclass(frozen=True)
class HalfLabelled:
    """A project of digit scenes, half of whose boxes are missing."""

    tool: LabelStudioTool
    number: str
    full: Dataset
    removed: Dataset
    env: dict[str, str]
    """Address and key, for the commands."""


def half_labelled(server: LocalServer, folder: Path, scenes: int, title: str) -> HalfLabelled:
    """Make a project on the server."""
    full = one_class(make_scenes(scenes, folder, seed=3))
    sparse, removed = remove_boxes(full, load_recipe("random").with_drop(0.5), seed=1)
    tool = LabelStudioTool(server.url, api_key=server.api_key)
    env = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.api_key}
    return HalfLabelled(tool, tool.set_up_project(title, sparse, folder), full, removed, env)


def shorten_rounds(workspace: Path, iterations: int, *, stop_at: float | None = None) -> None:
    """Cut a workspace's trainings short, as a user does who edits sparsedet.toml."""
    settings = read_settings(workspace / "sparsedet.toml")
    if stop_at is not None:
        rounds = settings.rounds.model_copy(update={"stop_at": stop_at})
        settings = settings.model_copy(update={"rounds": rounds})
    keys = {
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.WARMUP_ITERS": min(5, iterations - 1),
    }
    training = settings.training.model_copy(update={"keys": keys})
    write_settings(settings.model_copy(update={"training": training}), workspace / "sparsedet.toml")


@pytest.mark.label_studio
def test_rounds_against_a_label_studio_project(label_studio: LocalServer, tmp_path: Path) -> None:
    made = half_labelled(label_studio, tmp_path / "scenes", 24, "Digits of the README")
    first = for_project(commands("first round"), made.number)
    run_all(first[:2], tmp_path, made.env)
    cells = tmp_path / "cells"
    # With 50, rounding decides how much is learned: on one machine 77 of 134 boxes were right.
    shorten_rounds(cells, 100)
    run_all(first[2:], tmp_path, made.env)

    pulled = read_coco(cells / "annotations.json")
    mined = read_mined(cells / "rounds/001/mined.json", pulled)
    assert found(mined, made.removed, pulled) > 0.3
    judge = Reviewer(made.full, behaviour=Behaviour(draw_share=0.0))
    places = review_projects(Workspace(cells).round(1))
    played = [plan_reviews(made.tool, place, pulled, judge).submit() for place in places]
    accepted = sum(one.accepted for one in played)
    # By its estimate this little data may be as good as complete.
    shorten_rounds(cells, 5, stop_at=1.0)

    results = run_all(commands("next round"), tmp_path, made.env)
    second = read_coco(cells / "rounds/002/annotations.json")
    assert len(second.boxes) == len(pulled.boxes) + accepted + sum(one.edited for one in played)
    assert f"{accepted}" in results["status"].out
    assert "<svg" in (cells / "report.html").read_text()

    shutil.copytree(tmp_path / "scenes", tmp_path / "photos")
    run_all(commands("use"), tmp_path, {})
    assert len(json.loads((tmp_path / "found.images.json").read_text())["images"]) == 24
    assert len(list((tmp_path / "found").iterdir())) == 24
    assert (tmp_path / "cells.pt").stat().st_size > 0

    run_all(commands("check"), tmp_path, made.env)
    merging = commands("merge")
    run_all(merging[:2], tmp_path, made.env)
    merged = made.tool.pull(made.number, cells / "images")
    assert len(merged.boxes) == len(second.boxes)
    again = sparsedet("review", "cells", "--merge", "--json", cwd=tmp_path, env=made.env).json()
    assert {image["outcome"] for image in again["merge"]["images"]} == {"same"}
    rest = run_all(merging[2:], tmp_path, made.env)["review"]
    assert "are restored to their state" in rest.out
    assert len(made.tool.pull(made.number, cells / "images").boxes) == len(pulled.boxes)
    taken = run_all(commands("undo"), tmp_path, made.env)["push"]
    assert "no longer up for review" in taken.out
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or label_studio.api_key.encode() not in file.read_bytes(), file


@pytest.mark.label_studio
def test_a_round_of_drafts(label_studio: LocalServer, tmp_path: Path) -> None:
    made = half_labelled(label_studio, tmp_path / "scenes", 6, "Digits of my own")
    first, second = for_project(commands("draft"), made.number)
    run_all([first], tmp_path, made.env)
    shorten_rounds(tmp_path / "mine", 25)
    run_all([second], tmp_path, made.env)
    push = json.loads((tmp_path / "mine/rounds/001/push.json").read_text())
    assert push["boxes"] > 0
    assert push["review_project"] == made.number
    tasks = export_tasks(made.tool.connection, int(made.number))
    assert sum(bool(task["drafts"]) for task in tasks) == push["images"]


@pytest.mark.label_studio
def test_step_by_step(label_studio: LocalServer, tmp_path: Path) -> None:
    made = half_labelled(label_studio, tmp_path / "scenes", 16, "Digits, step by step")
    lines = commands("loop")
    assert [words[0] for words in lines] == ["pull", "train", "mine", "push", "review"]
    run_all([["init", "cells", "--project", made.number], *lines], tmp_path, made.env)
    mined = json.loads((tmp_path / "cells/mined.json").read_text())
    pushed = sparsedet(*lines[3], "--json", cwd=tmp_path, env=made.env).json()
    assert (pushed["created"], pushed["boxes"]) == (0, len(mined))
    reviewed = sparsedet(*lines[4], "--json", cwd=tmp_path, env=made.env).json()
    assert reviewed["pending"] == len(mined) > 0


def test_rounds_without_a_server(tmp_path: Path) -> None:
    full = one_class(make_scenes(16, tmp_path / "cards/images", seed=5))
    sparse, _ = remove_boxes(full, load_recipe("random").with_drop(0.5), seed=1)
    write_coco(sparse, tmp_path / "cards/annotations.json")
    write_coco(full, tmp_path / "full.json")
    lines = commands("files")
    run_all(lines[:1], tmp_path, {})
    shorten_rounds(tmp_path / "cards-loop", 30)
    run_all(lines[1:], tmp_path, {})
    assert len((tmp_path / "boxes.csv").read_text().splitlines()) > 1

    results = run_all(commands("rehearsal"), tmp_path, {})
    assert "accepted" in results["simulate"].out
    for _ in range(3):
        if "finished" in results["round"].out:
            break
        results = run_all(commands("rehearsal"), tmp_path, {})
    assert "finished" in results["round"].out
    assert "objects have a box" in results["round"].out


def test_the_proof_on_complete_data(tmp_path: Path) -> None:
    scenes = one_class(make_scenes(24, tmp_path / "images", seed=4))
    crowd = Box(9999, scenes.images[0].id, 1, (0, 0, 30, 30), iscrowd=True)
    write_coco(scenes.with_boxes([*scenes.boxes, crowd]), tmp_path / "full.json")
    *proof, last = commands("proof")
    results = run_all(proof, tmp_path, {})
    assert "AP50" in results["eval"].out
    figures = sparsedet(*last, "--json", cwd=tmp_path).json()
    run_all(commands("predict"), tmp_path, {})
    images = json.loads((tmp_path / "found.images.json").read_text())["images"]
    assert len(images) == len(list((tmp_path / "pictures").iterdir())) > 0
    assert (tmp_path / "labels").is_dir()
    assert "Data and figures" in (tmp_path / "detector.card.md").read_text()
    assert figures["AP50"] > 20
    assert (tmp_path / "half/staged/mining/stage1.json").is_file()

    for line in block("processes", "sh").splitlines():
        words = shlex.split(line)
        more = ["SOLVER.MAX_ITER", "2"] if "train" in words else []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*words, *more],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        assert "train" not in words or "in 2 processes" in done.stderr
    assert (tmp_path / "half/mined.json").is_file()
    models = [(tmp_path / "half" / run / "model.pth").read_bytes() for run in ("two", "again")]
    assert models[0] == models[1]


def test_cluster_starts_are_the_command_that_is_run_here() -> None:
    first = block("processes", "sh").splitlines()[0]
    training = first[first.index("-m sparsedet") :]
    script = block("slurm", "sh")
    assert script.replace("\\\n    ", "").rstrip().endswith(training)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    job = yaml.safe_load(block("kubernetes", "yaml"))
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        (container,) = replica["template"]["spec"]["containers"]
        assert [*container["command"], *container["args"]] == ["torchrun", *training.split()]


def test_splits_and_what_becomes_of_them(tmp_path: Path) -> None:
    scenes = make_scenes(20, tmp_path / "scenes", seed=6)
    (tmp_path / "images").mkdir()
    cameras = []
    for number, image in enumerate(scenes.images):
        cameras.append(replace(image, file_name=f"camera{number % 4}-{number}.png"))
        (tmp_path / "scenes" / image.file_name).rename(tmp_path / "images" / cameras[-1].file_name)
    write_coco(replace(scenes, images=tuple(cameras)), tmp_path / "full.json")
    (tmp_path / "ours.yaml").write_text(block("recipe", "yaml"))

    results = run_all([*commands("splits"), *commands("compare")], tmp_path, {})
    ours = read_coco(tmp_path / "ours/train.json")
    assert all(ours.boxes_by_image.values())
    assert len(ours.boxes) == pytest.approx(0.6 * len(scenes.boxes), abs=5)
    sides = [read_coco(tmp_path / f"grouped/{side}.json") for side in ("train", "val")]
    train, val = ({image.file_name.split("-")[0] for image in side.images} for side in sides)
    assert train | val == {f"camera{number}" for number in range(4)}
    assert not train & val
    assert "skip-small" in results["compare"].out
    assert "<svg" in (tmp_path / "compare.html").read_text()

    run_all(commands("formats"), tmp_path, {})
    assert len(list((tmp_path / "pets-voc/Annotations").iterdir())) == 20
    assert (tmp_path / "pets-hard/removed.json").is_file()


def test_the_mark_of_complete_images_is_read() -> None:
    config = labelling_config(["card"]).replace("sparsedet_complete", "another")
    assert parse_config(config, "7").complete is None
    added = config.replace("</View>", block("complete", "xml") + "</View>")
    assert parse_config(added, "7").complete == CompleteMark(
        "sparsedet_complete", "image", "complete"
    )


def test_settings_that_the_questions_suggest_are_valid() -> None:
    source = {"source": {"tool": "files", "url": ".", "project": "cards"}}
    changed = Settings.model_validate(source | tomllib.loads(block("settings", "toml")))
    assert (changed.training.minutes, changed.review.budget) == (20.0, "2h")
    assert changed.rounds.stop_at == 0.98
    weights = Settings.model_validate(source | tomllib.loads(block("weights", "toml"))).training
    config = load_config(weights.config, weights.overrides())
    assert "WEIGHTS: /data/weights.pth" in config.dump()
