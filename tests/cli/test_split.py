"""`sparsedet split`: from a file, a workspace or a project to a folder with a sparse split."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image as Picture

import sparsedet as package
from sparsedet.annotations import read_coco, write_coco
from sparsedet.loop.settings import Source
from sparsedet.loop.workspace import Workspace
from tests.cli.command import sparsedet, sparsedet_here
from tests.sparsify.datasets import grid

# Pulls a "project" that is the path of a COCO file, as any other package could.
PLUGIN = """
import shutil
from pathlib import Path
from sparsedet.annotations import read_coco

class FolderTool:
    url = "folder:"

    def __init__(self, url=None, options=None):
        pass

    def pull(self, project, images, progress):
        file = Path(project)
        dataset = read_coco(file)
        shutil.copytree(file.parent / "images", images, dirs_exist_ok=True)
        progress("images", len(dataset.images), len(dataset.images))
        return dataset
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A COCO file of 10 images with 6 boxes each, and its images next to it."""
    dataset = grid(10, 6)
    folder = tmp_path / "full"
    (folder / "images").mkdir(parents=True)
    for image in dataset.images:
        Picture.new("L", (image.width, image.height)).save(folder / "images" / image.file_name)
    write_coco(dataset, folder / "full.json")
    return folder / "full.json"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_recipe_writes_train_removed_and_record(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sparsedet(
        "split", full, "--images", full.parent / "images",
        "--recipe", "random", "--drop", "0.25", "--seed", "7", "-o", out, "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert _names(out) == {"train.json", "removed.json", "split.json"}
    train, removed = read_coco(out / "train.json"), read_coco(out / "removed.json")
    assert (len(train.boxes), len(removed.boxes)) == (45, 15)
    record = json.loads((out / "split.json").read_text(encoding="utf-8"))
    assert record["sparsedet"] == package.__version__
    assert record["source"] == str(full)
    assert record["seed"] == 7
    assert record["recipe"]["name"] == "random"
    assert record["recipe"]["rules"] == [
        {
            "rule": "drop-fraction",
            "parameters": {"drop": 0.25, "per": "dataset", "order": "random"},
        }
    ]
    assert record["boxes"] == {"train": 45, "removed": 15}
    assert record["images"] == {"train": 10}
    assert {name: row["train"] for name, row in record["classes"].items()} == train.counts()
    assert {name: row["removed"] for name, row in record["classes"].items()} == removed.counts()
    assert result.json() == {"output": str(out), **record}


def test_without_recipe_images_are_divided(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sparsedet_here("split", full, "-o", out, "--json")
    assert result.status == 0, result.err
    assert _names(out) == {"train.json", "val.json", "split.json"}
    assert result.json()["recipe"] is None
    assert result.json()["val"] == 0.2
    assert result.json()["images"] == {"train": 8, "val": 2}
    train, val = read_coco(out / "train.json"), read_coco(out / "val.json")
    assert not {image.id for image in train.images} & {image.id for image in val.images}
    assert (len(train.boxes), len(val.boxes)) == (48, 12)


def test_recipe_with_val_leaves_validation_complete(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sparsedet_here("split", full, "--recipe", "keep1", "--val", "0.3", "-o", out)
    assert result.status == 0, result.err
    assert _names(out) == {"train.json", "removed.json", "val.json", "split.json"}
    assert len(read_coco(out / "val.json").boxes) == 18
    assert len(read_coco(out / "train.json").boxes) == 7 * 3
    assert "Validation images keep all their boxes" in result.err


def test_a_split_that_removes_nothing_says_so(tmp_path: Path, full: Path) -> None:
    for drop, warns in (("0", True), ("0.5", False)):
        output = tmp_path / f"out{drop}"
        result = sparsedet_here("split", full, "--recipe", "random", "--drop", drop, "-o", output)
        assert result.status == 0, result.err
        assert ("nothing was removed" in result.err) == warns


def test_table_for_people_shows_every_class(full: Path, tmp_path: Path) -> None:
    result = sparsedet_here("split", full, "--recipe", "extreme", "-o", tmp_path / "out")
    assert result.status == 0, result.err
    for expected in ("extreme", "class 1", "class 2", "class 3", "all classes", "50"):
        assert expected in result.out


def test_workspace_is_split_with_its_own_images(full: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "pulled")
    shutil.copytree(full.parent / "images", workspace.images)
    shutil.copy(full, workspace.annotations)
    out = tmp_path / "out"
    result = sparsedet_here("split", workspace.root, "--recipe", "easy", "-o", out, "--json")
    assert result.status == 0, result.err
    assert result.json()["source"] == str(workspace.annotations)
    next(workspace.images.iterdir()).unlink()
    words: list[str | Path] = ["split", workspace.root, "--recipe", "easy"]
    words += ["-o", tmp_path / "other"]
    assert "no such image file" in sparsedet_here(*words, "--strict").error()
    lenient = sparsedet_here(*words)
    assert lenient.status == 0
    assert "missing images: 1 (images id 4 (" in lenient.err


@pytest.mark.parametrize("images", [None, "cache"])
def test_project_is_pulled_first(full: Path, tmp_path: Path, images: str | None) -> None:
    plugin = tmp_path / "plugin"
    (plugin / "folder_tool-1.0.dist-info").mkdir(parents=True)
    (plugin / "folder_tool.py").write_text(PLUGIN, encoding="utf-8")
    info = plugin / "folder_tool-1.0.dist-info"
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: folder-tool\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text(
        "[sparsedet.integrations]\nfolder = folder_tool:FolderTool\n"
    )
    out = tmp_path / "out"
    command: list[str | Path] = [
        "split", "--project", full, "--tool", "folder", "--recipe", "extreme", "-o", out, "--json",
        *(("--images", tmp_path / images) if images else ()),
    ]  # fmt: skip
    result = sparsedet(*command, env={"PYTHONPATH": str(plugin)})
    assert result.status == 0, result.err
    assert result.json()["source"] == {
        "tool": "folder",
        "url": "folder:",
        "project": str(full),
    }
    assert len(read_coco(out / "train.json").boxes) == 10
    pulled = Workspace(out / "pulled")
    assert len(read_coco(pulled.annotations).boxes) == 60
    assert pulled.settings().source == Source(tool="folder", url="folder:", project=str(full))
    cache = tmp_path / images if images else pulled.images
    assert len(list(cache.glob("*.jpg"))) == 10
    assert pulled.images.exists() == (images is None)
    again = sparsedet(*command, env={"PYTHONPATH": str(plugin)})
    assert again.json() == result.json()


def test_the_same_split_again_changes_nothing(full: Path, tmp_path: Path) -> None:
    command = ("split", full, "--recipe", "hard", "-o", tmp_path / "out")
    assert sparsedet_here(*command).status == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sparsedet_here(*command).status == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_other_content_is_never_overwritten(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert sparsedet_here("split", full, "--recipe", "hard", "-o", out).status == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    refused = sparsedet_here("split", full, "--recipe", "hard", "--seed", "2", "-o", out)
    assert "exists already with other content" in refused.error()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert _names(tmp_path) == {"full", "out"}


def test_refused_split_leaves_nothing_behind(full: Path, tmp_path: Path) -> None:
    next((full.parent / "images").iterdir()).unlink()
    refused = sparsedet_here(
        "split", full, "--images", full.parent / "images", "-o", tmp_path / "out", "--strict"
    )
    assert "no such image file" in refused.error()
    assert _names(tmp_path) == {"full"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FULL", "--recipe", "soft"], "choose from easy, extreme, hard, images-x-boxes, keep1"),
        (["FULL", "--recipe", "random", "--drop", "1.5"], "drop is 1.5, expected a share"),
        (["FULL", "--recipe", "random", "--drop", "nan"], "drop is nan, expected a share"),
        (["FULL", "--recipe", "easy", "--drop", "0.5"], "recipe easy takes no drop rate"),
        (["FULL", "--drop", "0.5"], "--drop needs a recipe"),
        (["FULL", "--val", "0"], "--val is 0.0, expected a share of the images"),
        (["FULL", "--images", "nowhere"], "nowhere: no such image folder"),
        (["gone.json"], "gone.json: no such file"),
        (
            ["."],
            "no annotations here, but in full; pass that folder",
        ),
        ([], "pass either an annotation file"),
        (["FULL", "--project", "3"], "pass either an annotation file"),
        (["--project", "3", "--tool", "paper"], "no integration 'paper'"),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], message: str, full: Path, tmp_path: Path
) -> None:
    words = [str(full) if word == "FULL" else word for word in arguments]
    refused = sparsedet_here("split", *words, "-o", tmp_path / "out", cwd=tmp_path)
    assert message in refused.error()
    assert not (tmp_path / "out").exists()


def test_other_formats_are_split_as_they_are(full: Path, tmp_path: Path) -> None:
    for name in ("voc", "yolo"):
        folder = tmp_path / name
        made = sparsedet_here(
            "convert", full, folder, "--to", name, "--images", full.parent / "images"
        )
        assert made.status == 0, made.err
        result = sparsedet_here(
            "split", folder, "--recipe", "easy", "-o", tmp_path / f"{name}-easy"
        )
        assert result.status == 0, result.err
        split = read_coco(tmp_path / f"{name}-easy/train.json")
        assert len(split.images) == len(read_coco(full).images)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = sparsedet_here("split", empty, "--recipe", "easy", "-o", tmp_path / "no")
    assert refused.status == 1
    assert "not a format that sparsedet reads" in refused.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_split_that_is_ended_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "full.json"
    file.write_text('{"images": [], "annotations": [], "categories": []}')
    slowly = (
        "import signal, time; from sparsedet import sparsify; from sparsedet.cli.app import main; "
        # Tests that run under nohup ignore it.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "sparsify.make_split = lambda *given: time.sleep(60); main()"
    )
    words = ["split", str(file), "--recipe", "easy", "-o", "out"]
    command = [sys.executable, "-c", slowly, *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob(".out.*")):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert list(tmp_path.iterdir()) == [file]


def test_a_split_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    (tmp_path / "full.json").write_text('{"images": [], "annotations": [], "categories": []}')
    program = (
        "import os, signal; from sparsedet import sparsify; from sparsedet.cli.app import main; "
        "make = sparsify.make_split; hang_up = lambda: os.kill(os.getpid(), signal.SIGHUP); "
        "sparsify.make_split = lambda *given: (hang_up(), make(*given))[1]; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); main()"
    )
    words = ["split", "full.json", "--recipe", "easy", "-o", "out"]
    subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "out").is_dir()
