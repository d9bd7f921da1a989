"""Invalid settings fail before a round does anything, and an unfinished round can start over."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.atomic_io import write_json
from sparsedet.completeness.budget import Budget
from sparsedet.errors import RunError, SparseDetError
from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.files.review_mode import FileReviewMode
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.engine.callbacks import Callbacks

SHORT = {"SOLVER.MAX_ITER": 2, "SOLVER.WARMUP_ITERS": 1, "SOLVER.IMS_PER_BATCH": 2}

TRAINING = """
import sys, time
from pathlib import Path
from sparsedet.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print(flush=True)
    time.sleep(60)
"""


class Stop(Exception):
    """Ends a round in the middle of its training."""


def make_workspace(folder: Path, **sections: Any) -> Workspace:
    """Make a project of three scenes, and a workspace for it."""
    if not (folder / "scenes").exists():
        scenes = make_scenes(3, folder / "scenes", seed=2)
        FilesTool(str(folder)).set_up_project("digits", scenes, folder / "scenes")
    workspace = Workspace(folder / "work")
    source = Source(tool="files", url=str(folder), project="digits")
    sections = {"training": {"keys": SHORT, "device": "cpu", "method": "plain"}} | sections
    workspace.write_settings(Settings.model_validate({"source": source, **sections}))
    return workspace


def rounds(workspace: Workspace, said: list[str] | None = None, **more: Any) -> Rounds:
    say = (said if said is not None else []).append
    return Rounds(workspace, FilesTool(workspace.settings().source.url), say=say, **more)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"review": {"mode": "draft"}}, '[review] mode = "draft" is not supported by files'),
        ({"training": {"config": "lite_fpn"}}, "no configuration 'lite_fpn'"),
        ({"training": {"keys": {"SOLVER.MAXITER": 3}}}, "no configuration key SOLVER.MAXITER"),
        ({"validation": {"data": "test.json", "images": "x"}}, "test.json: no such file"),
    ],
)
def test_wrong_settings_stop_a_round_before_it_begins(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    workspace = make_workspace(tmp_path, **sections)
    with pytest.raises(SparseDetError) as caught:
        rounds(workspace).advance()
    assert message in str(caught.value)
    assert workspace.all_rounds() == []


def test_drafts_have_no_queue_to_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilesTool, "push_modes", {"draft": FileReviewMode})
    workspace = make_workspace(tmp_path, review={"mode": "draft"})
    with pytest.raises(SparseDetError, match=r'sparsedet\.toml: mode = "draft" has no queue'):
        rounds(workspace).advance(budget=Budget(images=2))
    assert workspace.all_rounds() == []


def test_a_project_without_boxes_is_looked_at_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    file = tmp_path / "digits/annotations.json"
    full = read_coco(file)
    write_coco(full.with_boxes(()), file)
    with pytest.raises(SparseDetError, match="has no boxes to train on yet"):
        rounds(workspace).advance()
    write_coco(full, file)
    assert rounds(workspace).advance().round == 1


def test_foreign_classes_to_measure_on_show_before_the_training(tmp_path: Path) -> None:
    validation = {"data": "test.json", "images": str(tmp_path / "scenes")}
    make_workspace(tmp_path)
    full = read_coco(tmp_path / "digits/annotations.json")
    foreign = replace(
        full, categories=tuple(replace(c, name=f"letter {c.id}") for c in full.categories)
    )
    write_coco(foreign, tmp_path / "work/test.json")
    workspace = make_workspace(tmp_path, validation=validation)
    with pytest.raises(SparseDetError) as caught:
        rounds(workspace).advance()
    assert "test.json: classes differ from those of the training (only there: letter" in str(
        caught.value
    )
    assert not workspace.round(1).annotations.exists()


def test_a_round_goes_on_as_it_began_unless_it_is_restarted(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)

    def stop(progress: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        rounds(workspace, callbacks=Callbacks(on_progress=stop)).advance()
    drawn_since = _with_one_box_less(tmp_path / "digits/annotations.json")
    changed = {"keys": {**SHORT, "SOLVER.MAX_ITER": 3}, "device": "cpu", "method": "plain"}
    workspace = make_workspace(tmp_path, training=changed)
    said: list[str] = []
    with pytest.raises(Stop):
        rounds(workspace, said, callbacks=Callbacks(on_progress=stop)).advance()
    assert any("sparsedet.toml has changed" in line and "SOLVER.MAX_ITER" in line for line in said)

    assert rounds(workspace).advance(restart=True).round == 1
    folder = workspace.round(1)
    assert len(read_coco(folder.annotations).boxes) == len(drawn_since.boxes)
    assert "MAX_ITER: 3" in folder.run.config.read_text()


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A round with results of all steps but the push; another call stops before the pull."""
    workspace = make_workspace(tmp_path)
    folder = workspace.round(1)
    for path in (folder.annotations, folder.train, folder.run.model, folder.mined, folder.options):
        write_json(path, {})
    write_json(folder.root / "merged" / "001" / "a.json", {"before": 1})

    def stop(*_: object, **__: object) -> None:
        raise Stop

    monkeypatch.setattr(FileReviewMode, "prepare", stop)
    return workspace


def test_a_restart_keeps_what_merges_replaced(begun: Workspace) -> None:
    with pytest.raises(Stop):
        rounds(begun).advance(restart=True)
    folder = begun.round(1).root
    assert [path.name for path in folder.iterdir()] == ["merged"]
    assert (folder / "merged" / "001" / "a.json").is_file()
    shutil.rmtree(folder / "merged")
    with pytest.raises(Stop):
        rounds(begun).advance(restart=True)
    assert begun.all_rounds() == []


def test_a_run_that_is_being_trained_is_not_restarted(begun: Workspace) -> None:
    run = begun.round(1).run
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(run.root)], stdout=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout is not None
        training.stdout.readline()
        with pytest.raises(RunError, match="another process is training this run"):
            rounds(begun).advance(restart=True)
        training.kill()
    assert run.model.exists()


@pytest.mark.parametrize("after", range(5))
def test_a_killed_restart_leaves_no_later_step_done(
    begun: Workspace, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = Path.rename, list[Path]()

    def kill(self: Path, target: Path) -> Path:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(self)
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", kill)
        with pytest.raises(KeyboardInterrupt):
            rounds(begun).advance(restart=True)
    folder = begun.round(1)
    steps = (folder.annotations, folder.train, folder.run.model, folder.mined)
    left = [path.exists() for path in steps]
    assert left == sorted(left, reverse=True)
    # Like every command that changes a workspace.
    with begun.lock(), pytest.raises(Stop):
        rounds(begun).advance()
    assert not list(folder.root.glob(".*"))


def test_a_round_chooses_by_the_boxes_once(tmp_path: Path) -> None:
    """With boxes of 6 pixels, which are too small at 320."""
    auto = {"config": "auto", "keys": SHORT, "device": "cpu", "method": "plain"}
    workspace = make_workspace(tmp_path, training=auto)
    file = tmp_path / "digits/annotations.json"
    full = read_coco(file)
    small = (
        replace(box, xyxy=(*box.xyxy[:2], box.xyxy[0] + 6, box.xyxy[1] + 6), area=None)
        for box in full.boxes
    )
    write_coco(full.with_boxes(small), file)

    def stop(progress: object) -> None:
        raise Stop

    said: list[str] = []
    with pytest.raises(Stop):
        rounds(workspace, said, callbacks=Callbacks(on_progress=stop)).advance()
    assert any(line.startswith("auto: image size 640 instead of 320") for line in said)
    chosen = workspace.round(1).run.config.read_text()
    assert "MAX_SIZE_TEST: 640" in chosen
    said.clear()
    assert rounds(workspace, said).advance().round == 1
    assert not any("auto" in line or "has changed" in line for line in said)
    assert workspace.round(1).run.config.read_text() == chosen


def mined_on_every_image(workspace: Workspace, threshold: float) -> None:
    """Give round 1, which trained for two steps, the boxes of a model of this threshold."""
    folder = workspace.round(1)
    dataset = read_coco(folder.annotations)
    boxes = [
        MinedBox(f"m{image.id}-{number}", image.id, 1, (9, 9, 30, 30), 0.5, threshold)
        for image in dataset.images
        for number in range(20)
    ]
    write_mined(boxes, {"run_id": folder.run.info().run_id}, folder.mined)
    # As if nothing had been up for review: its own model found nothing, and had all images opened.
    folder.push.unlink()
    shutil.rmtree(workspace.root.parent / "digits" / "review")
    workspace.ledger.unlink()


def test_boxes_of_a_model_that_guesses_are_held(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    rounds(workspace).advance()
    mined_on_every_image(workspace, threshold=0.12)
    held = rounds(workspace).advance()
    assert (held.state, held.mined, held.up_for_review) == ("held", 60, 0)
    assert "60 boxes for" in held.reason
    assert not workspace.round(1).push.exists()
    assert rounds(workspace).advance().state == "held"
    pushed = rounds(workspace).advance(push_anyway=True)
    assert (pushed.state, pushed.up_for_review, pushed.images) == ("pushed", 60, 3)


def test_the_next_round_asks_where_little_was_reviewed(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, review={"min_reviewed": 0.5})
    rounds(workspace).advance()
    mined_on_every_image(workspace, threshold=0.9)
    tool = FilesTool(workspace.settings().source.url)
    assert rounds(workspace).advance().state == "pushed"
    nobody = rounds(workspace).advance()
    assert (nobody.state, nobody.reviewed, nobody.images) == ("waiting", 0, 3)

    first, *_ = tool.open_reviews("digits/review")
    first.submit(first.regions)
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    waiting = rounds(workspace, confirm=no).advance()
    assert (waiting.state, waiting.reviewed) == ("waiting", 1)
    assert questions == [
        "1 of 3 images reviewed since the last push, less than 50% ([review] min_reviewed). "
        "Start the next round?"
    ]
    second = rounds(workspace, confirm=lambda question: True).advance(push_anyway=True)
    assert second.round == 2
    # What was reviewed before a push is no reason for the round after it.
    after = rounds(workspace).advance()
    assert (after.round, after.state, after.reviewed) == (2, "waiting", 0)


def test_groups_stay_on_one_side_of_a_round(tmp_path: Path) -> None:
    def stop(progress: object) -> None:
        raise Stop

    # One of the rounds trains on one image.
    keys = {**SHORT, "SOLVER.IMS_PER_BATCH": 1}
    training = {"keys": keys, "device": "cpu", "method": "plain", "seed": 0}
    sides: dict[str, list[str]] = {}
    # One name for scenes 1 and 2, another for scene 3.
    for group_by in ("", "regex:_000(?=[12])|_0003"):
        validation = {"share": 0.5, "group_by": group_by}
        workspace = make_workspace(tmp_path, training=training, validation=validation)
        with pytest.raises(Stop):
            rounds(workspace, callbacks=Callbacks(on_progress=stop)).advance(restart=True)
        val = read_coco(workspace.round(1).val)
        sides[group_by] = [image.file_name for image in val.images]
    assert list(sides.values()) == [["scene_0002.png"], ["scene_0001.png", "scene_0002.png"]]


def _with_one_box_less(file: Path) -> Dataset:
    dataset = read_coco(file)
    dataset = dataset.with_boxes(dataset.boxes[1:])
    write_coco(dataset, file)
    return dataset
