"""The loop on Pascal VOC and YOLO folders: reviews are written to their xml and txt files."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.formats import read_dataset
from sparsedet.integrations.files import label_files
from sparsedet.reviews import NOTHING_WRITTEN, changes
from sparsedet.tool import Replaced
from tests.integrations.files.annotation_project import (
    DAY,
    EMPTY,
    NIGHT,
    Project,
    change_night,
    judge,
    near,
    outcomes,
    pulled_project,
)
from tests.integrations.files.formats.datasets import objects
from tests.integrations.files.memory import counts


@pytest.fixture(params=["voc", "yolo"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return pulled_project(request.param, tmp_path)


@pytest.fixture
def judged(project: Project) -> Project:
    return judge(project)


def test_what_is_pulled(project: Project) -> None:
    summary = project.tool.summary("cars")
    assert (summary.title, summary.images, summary.labels) == ("cars", 3, ("bus", "car"))
    assert [image.tool_id for image in project.dataset.images] == [DAY, NIGHT, EMPTY]
    assert {box.origin for box in project.dataset.boxes} == {"human"}
    assert objects(project.dataset)[NIGHT] == near(("bus", (5, 5, 35, 35)))
    assert (project.images / NIGHT).samefile(project.image_folder / NIGHT)


def test_boxes_are_known_by_their_place(project: Project) -> None:
    """An image stays as it was when boxes come and go on others, or change their order."""
    night = {image.tool_id: image for image in project.dataset.images}[NIGHT]
    own = [box for box in project.dataset.boxes if box.image_id == night.id]
    project.labels(DAY).unlink()
    again = project.tool.pull("cars", project.images)
    after = {image.tool_id: image for image in again.images}
    assert after[NIGHT].tool_version == night.tool_version
    assert after[DAY].tool_version != project.dataset.images[0].tool_version
    (box,) = again.boxes
    assert (box.id, box.tool_id) == (1, own[0].tool_id)
    assert own[0].id != 1


def test_one_box_twice_has_two_ids(project: Project) -> None:
    path = project.labels(NIGHT)
    text = path.read_text(encoding="utf-8")
    if project.format == "voc":
        start, end = text.index("<object>"), text.index("</annotation>")
        text = text[:end] + text[start:]
    else:
        text += text
    path.write_text(text, encoding="utf-8")
    dataset = project.tool.pull("cars", project.images)
    ids = [box.tool_id for box in dataset.boxes]
    assert len(ids) == len(set(ids)) == 4
    project.labels(DAY).unlink()  # renumbers all boxes
    again = project.tool.pull("cars", project.images)
    assert [box.tool_id for box in again.boxes] == ids[2:]


def test_a_dry_merge_writes_nothing_and_agrees_with_the_real_one(
    judged: Project, caplog: pytest.LogCaptureFixture
) -> None:
    before = judged.files()
    planned = judged.memory.merge(write=False)
    assert judged.files() == before
    assert {id: counts(one) for id, one in planned.items()} == {
        DAY: (2, 1, 1),
        NIGHT: (1, 0, 0),
        EMPTY: (1, 0, 0),
    }
    assert not any(one.changes.marks_complete for one in planned.values())
    assert "can't store that 1 reviewed image is completely labelled" in caplog.text

    written = judged.memory.merge()
    assert {id: replace(one, version=None) for id, one in written.items()} == planned
    again = judged.tool.pull("cars", judged.images)
    assert objects(again) == {
        DAY: near(
            ("car", (82, 40, 102, 70)), ("car", (40, 10, 60, 30)), ("bus", (90, 5, 110, 15.5))
        ),
        NIGHT: near(("bus", (5, 5, 35, 35)), ("car", (75, 40, 105, 70))),
        EMPTY: near(("bus", (20, 20, 40, 40))),
    }
    versions = {image.tool_id: image.tool_version for image in again.images}
    assert versions == {id: one.version for id, one in written.items()}


def test_everything_else_stays(judged: Project) -> None:
    first = judged.labels(NIGHT).read_text(encoding="utf-8")
    before = judged.files()
    judged.memory.merge()
    after = judged.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        str(judged.labels(name).relative_to(judged.folder)) for name in (DAY, NIGHT, EMPTY)
    }
    now = judged.labels(NIGHT).read_text(encoding="utf-8")
    kept = first.removesuffix("\n</annotation>\n")
    assert now.startswith(kept)


@pytest.mark.parametrize("remember", [True, False])
def test_a_second_merge_finds_nothing_to_do(judged: Project, remember: bool) -> None:
    judged.memory.merge(remember=remember)
    after = judged.files()
    again = judged.memory.merge()
    assert set(outcomes(again).values()) == {"same"}
    assert {one.version for one in again.values()} == {None}
    assert judged.files() == after


def test_what_a_merge_replaced_comes_back(judged: Project) -> None:
    before = judged.files()
    judged.memory.merge()
    after = judged.files()
    assert judged.memory.restore() == {}
    assert judged.files() == before
    # An image that somebody has changed since stays as it is.
    judged.memory.pushed = {
        id: replace(image, written=NOTHING_WRITTEN) for id, image in judged.memory.pushed.items()
    }
    judged.memory.merge()
    assert judged.files() == after
    change_night(judged)
    left = judged.memory.restore()
    assert list(left) == [NIGHT]
    assert f"annotations in {judged.labels(NIGHT)} changed since the merge" in left[NIGHT]
    files = judged.files()
    assert {name for name in files if files[name] != before.get(name)} == {
        str(judged.labels(NIGHT).relative_to(judged.folder))
    }


def test_a_merge_that_was_killed_before_it_recorded_can_be_undone(judged: Project) -> None:
    before = judged.files()
    judged.memory.merge()
    judged.memory.versions = dict.fromkeys(judged.memory.versions, None)
    change_night(judged)
    left = judged.memory.restore()
    assert list(left) == [NIGHT]
    assert "changed since the merge" in left[NIGHT]
    after = judged.files()
    files = {name for name in after if after[name] != before.get(name)}
    assert files == {str(judged.labels(NIGHT).relative_to(judged.folder))}
    assert judged.memory.restore().keys() == {NIGHT}


def test_an_undo_restores_what_it_can(judged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.memory.merge()
    real = label_files.replace_unchanged

    def refuse(path: Path, digest: str, data: bytes) -> None:
        if path == judged.labels(DAY):
            raise PermissionError(13, "Permission denied", str(path))
        real(path, digest, data)

    monkeypatch.setattr(label_files, "replace_unchanged", refuse)
    left = judged.memory.restore()
    assert list(left) == [DAY]
    assert "Permission denied" in left[DAY]
    monkeypatch.undo()
    assert judged.memory.restore() == {}


@pytest.mark.parametrize("always", [False, True])
def test_what_somebody_saves_in_the_same_moment_is_not_lost(
    judged: Project, monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    """A line is drawn by somebody after we read the file and before it is replaced."""
    real = os.fsync
    times: list[int] = []

    def save_meanwhile(file: int) -> None:
        real(file)
        if not times or always:
            times.append(1)
            change_night(judged)

    images = [NIGHT]
    verdicts = judged.memory.verdicts()
    plans = {id: lambda state: changes(state, verdicts[state.tool_id]) for id in images}
    kept: list[Replaced] = []
    monkeypatch.setattr(os, "fsync", save_meanwhile)
    merge = judged.tool.merge("cars", plans, sizes={}, keep=kept.append)
    if always:
        with pytest.raises(SparseDetError, match="changed while it was being written; try again"):
            list(merge)
        assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(
            ("bus", (5, 5, 35 + 4 * len(times), 35))
        )
        return
    (one,) = merge
    assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(
        ("bus", (5, 5, 39, 35)), ("car", (75, 40, 105, 70))
    )
    assert one.state is not None
    assert [box.xyxy for box in one.state.boxes.values()] == [
        pytest.approx((5, 5, 39, 35), abs=0.01)
    ]
    assert len(kept) == 2
    judged.tool.restore("cars", [(kept[-1], one.version)])
    assert objects(read_dataset(judged.folder).dataset)[NIGHT] == near(("bus", (5, 5, 39, 35)))


def test_an_interrupted_merge_resumes(judged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the machine stops between two files."""
    real = os.replace
    done: list[str] = []

    def stop_after_one(source: str, target: str) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(str(target))
        real(source, target)

    monkeypatch.setattr(Path, "replace", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        judged.memory.merge()
    monkeypatch.undo()
    assert len(done) == 1
    assert sorted(outcomes(judged.memory.merge()).values()) == ["changed", "changed", "same"]
    assert len(read_dataset(judged.folder).dataset.boxes) == 6


def test_a_workspace_inside_the_project_is_left_out(project: Project) -> None:
    inside = project.folder / "loop"
    shutil.copytree(project.images, inside / "images")
    (inside / "sparsedet.toml").touch()
    again = project.tool.pull("cars", project.images)
    assert again == project.dataset


def test_images_that_would_share_a_label_file_are_refused(project: Project) -> None:
    """A merge would write the boxes of one to the other."""
    twin = (project.image_folder / EMPTY).with_suffix(".jpg")
    assert cv2.imwrite(str(twin), np.zeros((40, 120, 3), dtype=np.uint8))
    with pytest.raises(AnnotationError, match=r"(z\.jpg.*share|share.*z\.png)"):
        project.tool.pull("cars", project.images)


def test_projects_that_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="is the project itself"):
        project.tool.pull("cars", project.image_folder)
    (project.folder / "data.yaml").write_text("names: [dog]\n", encoding="utf-8")
    (project.folder / "Annotations").mkdir(exist_ok=True)
    (project.folder / "Annotations" / "x.xml").write_text("<annotation/>", encoding="utf-8")
    with pytest.raises(ToolError, match="contains both Pascal VOC and YOLO"):
        project.tool.pull("cars", project.images)
    shutil.rmtree(project.folder / "Annotations")
    if project.format == "voc":
        with pytest.raises(AnnotationError, match="3 images, but no label file"):
            project.tool.pull("cars", project.images)
