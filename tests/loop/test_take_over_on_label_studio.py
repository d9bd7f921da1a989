"""Other workspaces and push modes on a project of a real server: refused unless they take over."""

import shutil
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.loop.small_project import SmallProject


@pytest.fixture
def project(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path, label_studio)
    project.push("v1")
    return project


def test_a_second_workspace_is_refused_unless_it_takes_over(project: SmallProject) -> None:
    other = replace_workspace(project, "other")
    mined = project.write_mined("v2")
    refused = project.command("push", mined, "--data", other)
    assert "another workspace" in refused.error()
    assert "--take-over" in refused.error()
    taken = project.command("push", mined, "--data", other, "--take-over", "--json")
    assert taken.status == 0, taken.err
    assert {id for r in project.open_reviews().values() for id in r.scores} == {
        box.region_id for box in project.mined("v2")
    }
    assert (
        "another workspace"
        in project.command(
            "push", project.write_mined("v1"), "--data", project.workspace.root
        ).error()
    )


def replace_workspace(project: SmallProject, name: str) -> Path:
    """Make another workspace of the same project."""
    folder = project.folder / name
    shutil.copytree(project.workspace.images, folder / "images")
    for file in ("annotations.json", "sparsedet.toml"):
        shutil.copy(project.workspace.root / file, folder / file)
    return folder


def test_another_mode_is_refused_unless_it_takes_over(project: SmallProject) -> None:
    mined = project.write_mined("v2")
    work = project.workspace.root
    refused = project.command("push", mined, "--data", work, "--mode", "draft")
    assert project.review_project in refused.error()
    before = project.review_project
    taken = project.command("push", mined, "--data", work, "--mode", "draft", "--take-over")
    assert taken.status == 0, taken.err
    assert project.tool.open_reviews(before) == []
    outcomes = project.outcomes()
    assert outcomes["v1-right-a.png"] == "withdrawn"
    assert outcomes["v2-right-a.png"] == "pending"


def test_a_review_project_is_no_source(project: SmallProject) -> None:
    refused = project.command("init", project.folder / "new", "--project", project.review_project)
    assert "review project" in refused.error()


def test_drafts_of_another_control_are_not_taken_over(
    label_studio: LocalServer, tmp_path: Path
) -> None:
    project = SmallProject(tmp_path, label_studio)
    work, other = project.workspace.root, replace_workspace(project, "other")
    path = f"api/projects/{project.project}/"
    xml = project.api.get_json(path, {}, "it")["label_config"]
    second = '<RectangleLabels name="second" toName="image"><Label value="cat"/></RectangleLabels>'
    config = xml.replace("</View>", f"{second}</View>")
    project.api.patch_json(path, {"label_config": config}, "it")
    for folder, control in ((work, "label"), (other, "second")):
        settings = folder / "sparsedet.toml"
        settings.write_text(
            settings.read_text().replace('control = ""', f'control = "{control}"', 1)
        )
    v1 = project.write_mined("v1")
    first = project.command("push", v1, "--data", work, "--mode", "draft")
    assert first.status == 0, first.err
    write_coco(read_coco(other / "annotations.json").with_boxes(()), other / "annotations.json")
    taken = project.command("push", project.write_mined("v2"), "--data", other, "--take-over")
    assert taken.status == 0, taken.err
    assert len(drafts(project)) == 3
    undone = project.command("push", "--undo", "--data", other, "--json").json()
    assert undone["predictions"] == 3
    assert len(drafts(project)) == 3
    back = project.command("push", v1, "--data", work, "--mode", "draft", "--take-over", "--json")
    assert back.json()["boxes"] == 6


def drafts(project: SmallProject) -> list[int]:
    """Ids of all drafts."""
    tasks = project.api.get_json(
        f"api/projects/{project.project}/export",
        {"exportType": "JSON", "download_all_tasks": True},
        "it",
    )
    return [draft["id"] for task in tasks for draft in task["drafts"]]
