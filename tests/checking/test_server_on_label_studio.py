"""Checks against a real server, in every mode; they change nothing there."""

from pathlib import Path
from typing import Any

import pytest

from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.push_modes import ModeName
from tests.checking.test_server import findings
from tests.loop.small_project import SmallProject, without

MODES: tuple[ModeName, ...] = ("review-project", "sheets", "draft")


@pytest.fixture
def project(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, label_studio)


def push(project: SmallProject, mode: ModeName, version: str = "v1") -> None:
    mined = project.write_mined(version)
    root = project.workspace.root
    result = project.command("push", mined, "--data", root, "--mode", mode)
    assert result.status == 0, result.err


def exported(project: SmallProject, number: str) -> list[dict[str, Any]]:
    query = {"exportType": "JSON", "download_all_tasks": True}
    path = f"api/projects/{number}/export"
    found: list[dict[str, Any]] = project.api.get_json(path, query, "it")
    return found


def drafts(project: SmallProject) -> list[dict[str, Any]]:
    return [draft for task in exported(project, project.project) for draft in task["drafts"]]


def predictions(project: SmallProject, number: str) -> list[dict[str, Any]]:
    query = {"project": number}
    found: list[dict[str, Any]] = project.api.get_json("api/predictions/", query, "it")
    return found


@pytest.mark.parametrize("mode", MODES)
def test_what_was_pushed_and_what_was_lost(project: SmallProject, mode: ModeName) -> None:
    push(project, mode)
    assert findings(project) == {}
    # As after answers that counted as success, though the server had done nothing.
    if mode == "draft":
        lost, *_ = (
            draft for task in exported(project, project.project) for draft in task["drafts"]
        )
        project.api.delete(f"api/drafts/{lost['id']}/", "it")
    else:
        lost, *_ = predictions(project, project.review_project)
        project.api.delete(f"api/predictions/{lost['id']}/", "it")
    found = findings(project)
    assert set(found) == ({"not-up"} if mode == "draft" else {"not-up", "empty-task"})
    assert len(found["not-up"]) == (3 if mode == "sheets" else 1)
    push(project, mode)
    assert findings(project) == {}
    result = project.command("push", "--undo", "--data", project.workspace.root)
    assert result.status == 0
    assert findings(project) == {}


def test_whatever_people_do_with_drafts_is_no_finding(project: SmallProject) -> None:
    push(project, "draft")
    project.save_source("a.png")
    draft = drafts(project)[-1]
    changed = draft["result"][:-1]
    project.api.patch_json(f"api/drafts/{draft['id']}/", {"result": changed}, "it")
    assert findings(project) == {}


def test_what_late_requests_leave_is_found_and_put_right_by_the_next_push(
    project: SmallProject,
) -> None:
    push(project, "review-project")
    project.review("a.png", without("wrong"))
    number = project.review_project
    task = next(t for t in exported(project, number) if t["data"] and not t["annotations"])
    imported = [{"data": task["data"]}]
    project.api.post_json(f"api/projects/{number}/import", imported, "it")
    found = findings(project)
    assert set(found) == {"empty-task"}
    push(project, "review-project")
    assert findings(project) == {}


def test_a_second_review_project(project: SmallProject) -> None:
    push(project, "review-project")
    path = f"api/projects/{project.review_project}/"
    first = project.api.get_json(path, {}, "it")
    copy = {key: first[key] for key in ("title", "description", "label_config")}
    second = project.api.post_json("api/projects/", copy, "it")
    (one,) = findings(project)["second-place"]
    assert f"/projects/{second['id']};" in one.what
    project.api.delete(f"api/projects/{second['id']}/", "it")
    assert findings(project) == {}
    project.api.delete(path, "it")
    assert set(findings(project)) == {"place-gone"}
