"""The README's commands, run as they stand there; only the trainings are cut short."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, Category, Dataset, read_coco, write_coco
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.server import LocalServer
from sparsedet.mining.matching import iou_matrix, match
from sparsedet.mining.mined import MinedBox, read_mined
from sparsedet.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes
from tests.cli.command import Result, sparsedet

README = Path(__file__).parent.parent / "README.md"
SHORT = ["SOLVER.MAX_ITER", "60", "SOLVER.WARMUP_ITERS", "10"]


def commands(name: str) -> list[list[str]]:
    """Return the words of each `sparsedet` command in the block that the README marks `name`."""
    block = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert block, f"the README has no block {name}"
    lines = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    assert all(words[0] == "sparsedet" for words in lines)
    return [words[1:] for words in lines]


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


def test_nothing_in_the_readme_waits_to_be_filled_in() -> None:
    assert not re.search(r"FIGURES|TODO|XXX", README.read_text())


@pytest.mark.label_studio
def test_the_loop_against_a_label_studio_project(label_studio: LocalServer, tmp_path: Path) -> None:
    full = one_class(make_scenes(40, tmp_path / "scenes", seed=3))
    sparse, removed = remove_boxes(full, load_recipe("random").with_drop(0.5), seed=1)
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    project = tool.fill("Digits of the README", sparse, tmp_path / "scenes")
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    lines = [[project if word == "7" else word for word in words] for words in commands("loop")]
    assert [words[0] for words in lines] == ["doctor", "pull", "train", "mine", "push", "review"]

    run_all(lines, tmp_path, env)

    mined = read_mined(
        tmp_path / "cells/mined.json", read_coco(tmp_path / "cells/annotations.json")
    )
    assert found(mined, removed, tool.pull(project, tmp_path / "cells/images")) > 0.3
    # Without mined labels the second stage would repeat the first to the letter.
    run = tmp_path / "cells/run"
    assert (run / "model.pth").read_bytes() != (run / "mining/fold0.pth").read_bytes()
    again = {**env, "COLUMNS": "80"}
    pushed = sparsedet(*lines[4], "--json", cwd=tmp_path, env=again).json()
    assert (pushed["created"], pushed["boxes"]) == (0, len(mined))
    reviewed = sparsedet(*lines[5], "--json", cwd=tmp_path, env=again).json()
    assert reviewed["pending"] == len(mined)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or label_studio.api_key.encode() not in file.read_bytes(), file


def test_the_proof_on_complete_data(tmp_path: Path) -> None:
    scenes = one_class(make_scenes(30, tmp_path / "images", seed=4))
    crowd = Box(9999, scenes.images[0].id, 1, (0, 0, 30, 30), iscrowd=True)
    write_coco(scenes.with_boxes([*scenes.boxes, crowd]), tmp_path / "full.json")
    results = run_all(commands("proof"), tmp_path, {})
    assert "AP50" in results["eval"].out
    figures = sparsedet(*commands("proof")[-1], "--json", cwd=tmp_path).json()
    assert figures["AP50"] > 20
    assert (tmp_path / "half/staged/mining/folds.json").is_file()
