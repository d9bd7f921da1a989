"""`sparsedet serve` and a real Label Studio: connect, open, review, disconnect."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from playwright.sync_api import expect

from sparsedet.integrations.label_studio.client.request_errors import RequestRefusedError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.geometry import from_percent
from sparsedet.integrations.label_studio.predictions import (
    NewPrediction,
    import_predictions,
    read_predictions,
)
from sparsedet.integrations.label_studio.serve.connect import TITLE, connect
from sparsedet.integrations.label_studio.serve.model_host import live_version
from sparsedet.integrations.label_studio.serve.refresher import Refresher
from sparsedet.ledger import Ledger
from sparsedet.live_backend import SECRET_VARIABLE
from sparsedet.push_modes import no_progress
from sparsedet.wording import counted
from tests.integrations.label_studio.browser import log_in, open_browser, take_screenshots
from tests.integrations.label_studio.serve.eager_run import make_eager_run
from tests.loop.small_project import FREE, LABELS, SIZE, SmallProject, without
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.label_studio

SECRET = "the secret of the tests"
THEIRS = "yolo-live"
"""Model version of somebody else's predictions."""
REVIEWED = {"v1-right-b.png": "accepted", "v1-wrong-b.png": "rejected"}
"""Outcomes after a review of b.png that deletes the wrong box."""


@pytest.fixture
def unpushed(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, label_studio)


@pytest.fixture
def project(unpushed: SmallProject) -> SmallProject:
    unpushed.push_round(1, "v1")
    # What is served downloads them again.
    shutil.rmtree(unpushed.workspace.images)
    return unpushed


@contextmanager
def serving(project: SmallProject, *arguments: str | Path) -> Iterator[str]:
    """Run `sparsedet serve` until it is connected, and end it as Ctrl-C does; yield its address."""
    assert project.server is not None
    env = {
        **os.environ,
        "LABEL_STUDIO_URL": project.server.url,
        "LABEL_STUDIO_API_KEY": project.server.api_key,
        SECRET_VARIABLE: SECRET,
    }
    command = [sys.executable, "-m", "sparsedet", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            ready = "connected;" if "--connect" in arguments else "serving "
            while ready not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            assert SECRET not in said
            (address,) = re.findall(r"at (http://127\.0\.0\.1:\d+),", said)
            yield address
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=PATIENCE)[1]
            assert (process.returncode, "Traceback" in rest) == (0, False), rest
        finally:
            process.kill()


def outcomes(project: SmallProject) -> dict[str, str]:
    """Region id -> outcome, by the ledger alone."""
    with closing(Ledger(project.workspace.ledger)) as ledger:
        return {box.region_id: box.outcome for box in ledger.boxes()}


def settled(project: SmallProject) -> dict[str, str]:
    """Those that are not pending."""
    return {id: outcome for id, outcome in outcomes(project).items() if outcome != "pending"}


def live(project: SmallProject) -> tuple[int, int]:
    """Backends on the project, and webhooks on it and its review project."""
    backends = project.api.get_json("api/ml/", {"project": project.project}, "backends")
    hooks = [
        hook
        for number in (project.project, project.review_project)
        for hook in project.api.get_json("api/webhooks/", {"project": number}, "webhooks")
        if str(hook["project"]) == number
    ]
    assert all(backend["title"] == TITLE for backend in backends)
    return len(backends), len(hooks)


def opened(project: SmallProject, name: str) -> list[dict[str, Any]]:
    """The regions of the only prediction that the editor gets with a task."""
    task = project.api.get_json(f"api/tasks/{project.id_of(name)}/", {}, "a task")
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "eager-sparsedet-live"
    regions: list[dict[str, Any]] = prediction["result"]
    return regions


def test_tasks_open_with_boxes_and_reviews_arrive(project: SmallProject) -> None:
    run = make_eager_run(project.folder / "run", list(enumerate(LABELS, start=1)))
    arguments = ("--workspace", project.workspace.root, "--connect", project.project)
    with serving(project, run.root, *arguments) as address:
        assert live(project) == (1, 2)
        # As another server does after the first one was killed.
        connect(project.api, [project.project], [], address=address, secret=SECRET)
        assert live(project) == (1, 2)

        other = NewPrediction(int(project.id_of("b.png")), [], THEIRS)
        import_predictions(project.api, int(project.project), [other], no_progress)
        regions = opened(project, "a.png")
        assert [r["id"] for r in regions if "score" not in r] == ["own-a.png"]
        assert any("score" in region for region in regions)

        with project.workspace.lock():  # as a round that is at work
            project.edit_source("a.png", FREE)
            project.review("b.png", without("wrong"))
            wait_for(lambda: place_of("own-a.png", opened(project, "a.png")) == FREE)
            assert set(outcomes(project).values()) == {"pending"}
        assert wait_for(lambda: settled(project)) == REVIEWED

        before = predictions(project)
        assert len(before) > 1
        taken = project.command("serve", "--disconnect", project.project)
        ours = counted(len(before) - 1, "live prediction")
        assert taken.err.strip() == (
            f"project {project.project}: 1 live backend removed, {ours} deleted"
        )
    assert live(project) == (0, 0)
    assert predictions(project) == [THEIRS]


def test_later_review_projects_report_reviews_too(unpushed: SmallProject) -> None:
    run = make_eager_run(unpushed.folder / "run", list(enumerate(LABELS, start=1)))
    arguments = ("--workspace", unpushed.workspace.root, "--connect", unpushed.project)
    with serving(unpushed, run.root, *arguments):
        unpushed.push_round(1, "v1")
        wait_for(lambda: live(unpushed) == (1, 2))
        unpushed.review("b.png", without("wrong"))
        wait_for(lambda: settled(unpushed) == REVIEWED)
        assert live(unpushed) == (1, 2)
    assert live(unpushed) == (0, 0)


def test_reviews_of_the_time_before_the_start_are_read(project: SmallProject) -> None:
    run = make_eager_run(project.folder / "run", list(enumerate(LABELS, start=1)))
    project.review("b.png", without("wrong"))
    with serving(project, run.root, "--workspace", project.workspace.root):
        wait_for(lambda: settled(project) == REVIEWED)


def test_a_review_project_that_was_deleted_is_no_problem(project: SmallProject) -> None:
    run = make_eager_run(project.folder / "run", list(enumerate(LABELS, start=1)))
    project.api.delete(f"api/projects/{project.review_project}/", "deleting a project")
    arguments = ("--workspace", project.workspace.root, "--connect", project.project)
    with serving(project, run.root, *arguments):
        wait_for(lambda: not Ledger(project.workspace.ledger).places())


def test_tasks_that_are_deleted_after_a_change_are_no_problem(project: SmallProject) -> None:
    """The server reports their annotations, but refuses to list their predictions."""
    deleted, task = project.id_of("b.png"), int(project.id_of("a.png"))
    project.api.delete(f"api/tasks/{deleted}/", "deleting a task")
    host = Mock()
    host.current.info.run_id = "eager"
    refresher = Refresher(project.api, host, Mock())
    refresher._refresh_existing(int(project.project), int(deleted))
    live = NewPrediction(task, [], live_version("eager"))
    import_predictions(project.api, int(project.project), [live], no_progress)
    with pytest.raises(RequestRefusedError, match="reading project 98765"):
        refresher._refresh_existing(98765, task)


def predictions(project: SmallProject) -> list[str]:
    """Model versions of the predictions in the annotated project."""
    found = read_predictions(project.api, int(project.project))
    return [prediction.model_version for of_task in found.values() for prediction in of_task]


def place_of(region: str, regions: list[dict[str, Any]]) -> tuple[int, ...]:
    """Where a region is, in pixels."""
    (found,) = [r for r in regions if r["id"] == region]
    return tuple(map(round, from_percent(found["value"], *SIZE).xyxy))


@pytest.mark.browser
def test_a_person_opens_a_task_and_sees_the_live_boxes(project: SmallProject) -> None:
    assert project.server is not None
    run = make_eager_run(project.folder / "run", list(enumerate(LABELS, start=1)))
    with serving(project, run.root, "--connect", project.project), open_browser() as page:
        log_in(page, project.server)
        page.goto(f"{project.server.url}/projects/{project.project}/data")
        page.get_by_test_id("table-row").first.click()
        page.locator(".konvajs-content canvas").first.wait_for()
        # The page shortens long versions in the middle.
        page.get_by_text(re.compile(r"^eager-.*-live$")).first.click()
        regions = page.locator(".lsf-outliner-item")
        expect(regions.filter(has_text=re.compile(r"0\.\d\d"))).not_to_have_count(0)
        take_screenshots(page, "live")
