"""Pushes are compared with the tool's content: here in files; in the next module on a server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.checking.checkup import check_workspace
from sparsedet.checking.finding import Finding
from tests.loop.small_project import SmallProject, draw, without


def findings(project: SmallProject) -> dict[str, list[Finding]]:
    """Return what a check of the workspace and its server finds that is wrong, by kind."""
    found: dict[str, list[Finding]] = {}
    for one in check_workspace(project.workspace, connections=project.connections).findings:
        if one.severity != "info":
            found.setdefault(one.kind, []).append(one)
    return found


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def to_review(project: SmallProject, version: str = "v1") -> Path:
    return project.folder / project.review_project / version / "to_review.json"


def change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_whatever_people_do_is_no_finding(project: SmallProject) -> None:
    assert findings(project) == {}
    project.review("a.png", without("wrong"))
    # Nobody has read it yet.
    assert findings(project) == {}
    project.collect()
    project.review("b.png", draw((1, 1, 9, 9)), complete=True)
    project.merge()
    assert findings(project) == {}
    project.refresh()
    project.push("v2")
    assert findings(project) == {}
    assert project.command("push", "--undo", "--data", project.workspace.root).status == 0
    assert findings(project) == {}


def test_boxes_that_nobody_is_shown(project: SmallProject) -> None:
    path = to_review(project)
    dataset = read_coco(path)
    left = dataset.with_boxes(b for b in dataset.boxes if b.tool_id != "v1-right-b.png")
    write_coco(left, path)
    (one,) = findings(project)["not-up"]
    assert "1 mined box (v1-right-b.png) of b.png" in one.what
    assert one.command.startswith("sparsedet push MINED --data ")


def test_boxes_that_are_up_twice(project: SmallProject) -> None:
    path = to_review(project)
    shutil.copytree(path.parent, path.parent.with_name("v0"))
    found = findings(project)
    assert len(found["up-twice"]) == 6
    assert "v0/to_review.json" in found["up-twice"][0].what


def test_boxes_that_the_ledger_does_not_know(project: SmallProject) -> None:
    def rename(content: dict[str, Any]) -> None:
        for one in content["annotations"]:
            if one["tool_id"] == "v1-wrong-a.png":
                one["tool_id"] = "unheard-of"

    change(to_review(project), rename)
    assert "unheard-of" in findings(project)["not-in-ledger"][0].what


def test_a_review_folder_that_was_deleted(project: SmallProject) -> None:
    shutil.rmtree(to_review(project).parents[1])
    (one,) = findings(project)["place-gone"]
    assert one.command.startswith("sparsedet review ")
    assert project.command("review", project.workspace.root).status == 0
    assert findings(project) == {}


def test_images_that_were_deleted_are_worth_knowing(project: SmallProject) -> None:
    dataset = read_coco(project.annotations)
    images = tuple(image for image in dataset.images if image.file_name != "c.png")
    boxes = [box for box in dataset.boxes if box.image_id != 3]
    write_coco(type(dataset)(images, tuple(boxes), dataset.categories), project.annotations)
    (to_review(project)).unlink()
    found = check_workspace(project.workspace, connections=project.connections).findings
    assert [one.kind for one in found if one.severity == "info"] == ["image-deleted"]
    # The others are still missed.
    assert sorted(one.what.split(" of ")[1][:5] for one in found if one.kind == "not-up") == [
        "a.png",
        "b.png",
    ]


def test_asking_is_an_option_of_the_command(project: SmallProject) -> None:
    shutil.rmtree(to_review(project).parents[1])
    root = project.workspace.root
    assert project.command("check", root).status == 0
    result = project.command("check", root, "--server")
    assert result.status == 3
    assert "was deleted" in result.out


def test_a_project_that_can_t_be_asked_is_an_error(project: SmallProject) -> None:
    project.annotations.write_text("{")
    assert (
        "annotations.json" in project.command("check", project.workspace.root, "--server").error()
    )
