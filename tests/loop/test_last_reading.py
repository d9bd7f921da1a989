"""When reviews were last read, and whether there are newer ones."""

import shutil
from contextlib import closing
from copy import copy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from sparsedet.errors import SparseDetError, ToolError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.ledger import Ledger
from sparsedet.loop.last_reading import (
    LastReading,
    last_reading,
    reading_file,
    reviews_as_of,
)
from sparsedet.loop.reviews import unread_places
from sparsedet.plugins import image_address
from tests.loop.small_project import SmallProject

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def reading(project: SmallProject) -> LastReading:
    found = last_reading(project.workspace.ledger)
    assert found is not None
    return found


def is_newer(project: SmallProject) -> bool:
    with closing(Ledger(project.workspace.ledger)) as ledger:
        found = last_reading(project.workspace.ledger)
        return bool(unread_places(ledger, project.connections, found))


def test_a_review_is_newer_until_it_is_read(project: SmallProject) -> None:
    assert last_reading(project.workspace.ledger) is None
    assert is_newer(project)
    before = datetime.now(UTC).replace(microsecond=0)
    project.collect()
    assert before <= reading(project).at <= datetime.now(UTC)
    assert not is_newer(project)
    project.review("a.png")
    assert is_newer(project)
    project.collect()
    assert not is_newer(project)


def test_a_review_that_was_taken_back_is_news(project: SmallProject) -> None:
    project.review("a.png")
    project.collect()
    (project.folder / project.review_project / "v1" / "reviewed.json").unlink()

    assert is_newer(project)


def test_a_missing_folder_does_not_mean_that_nobody_reviewed(project: SmallProject) -> None:
    project.collect()
    review = project.folder / project.review_project
    review.rename(review.with_name("away"))
    checked = project.command("status", project.workspace.root, "--check")
    assert checked.status == 0
    assert "not checked for newer reviews" in checked.err
    assert f"{review.name}: the folder was deleted" in checked.err
    assert "nobody has reviewed since" not in checked.err


def test_a_missing_folder_does_not_hide_reviews_elsewhere(project: SmallProject) -> None:
    other = copy(project)
    other.project = project.tool.set_up_project("other", project.dataset, project.workspace.images)
    other.push("v2", project.mined("v2"))
    project.collect()
    shutil.rmtree(other.folder / other.project / "review")
    with pytest.raises(ToolError, match="the folder was deleted"):
        is_newer(project)
    for review in project.tool.open_reviews(f"{project.project}/review"):
        review.submit(review.regions)
    assert is_newer(project)


@pytest.mark.label_studio
def test_label_studio_is_asked_and_its_tasks_are_known(
    label_studio: LocalServer, tmp_path: Path
) -> None:
    project = SmallProject(tmp_path, label_studio)
    project.push("v1")
    project.collect()
    assert not is_newer(project)
    project.review("a.png")
    assert is_newer(project)
    project.collect()
    assert not is_newer(project)
    (place,) = reading(project).places
    review, source = project.review_project, project.id_of("a.png")
    task = project.api.get_json(f"api/tasks/{place.tasks[source]}/", {}, "it")
    assert (str(task["project"]), str(task["data"]["sparsedet_source_task"])) == (review, source)
    address = image_address("label-studio", project.source.url, review, str(task["id"]))
    assert address == project.tool.image_url(review, str(task["id"]))
    # Skipping is reviewing, too; so is another save of an old review.
    body = {"result": [], "was_cancelled": True}
    skipped = place.tasks[project.id_of("b.png")]
    project.api.post_json(f"api/tasks/{skipped}/annotations/", body, "it")
    assert is_newer(project)
    project.collect()
    (annotation,) = project.api.get_json(f"api/tasks/{task['id']}/annotations/", {}, "it")
    project.save(annotation)
    assert is_newer(project)
    project.collect()
    project.api.delete(f"api/annotations/{annotation['id']}/", "it")
    assert is_newer(project)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=-5), "12:30, just now"),
        (timedelta(seconds=59), "12:29, just now"),
        (timedelta(minutes=1), "12:29, 1 minute ago"),
        (timedelta(minutes=119), "10:31, 1 hour ago"),
        (timedelta(hours=13), "2026-05-03 23:30, 13 hours ago"),
        (timedelta(days=2), "2026-05-02 12:30, 2 days ago"),
    ],
)
def test_the_age_is_said_in_the_reader_s_time_zone(before: timedelta, words: str) -> None:
    assert reviews_as_of((NOW - before).astimezone(UTC), NOW) == f"reviews as of {words}"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"at": "today", "places": []}',
        '{"at": "2026-05-04T12:00:00", "places": []}',
        '{"at": "2026-05-04T12:00:00+00:00", "places": [{"place": ["a"]}]}',
    ],
)
def test_a_broken_file_is_one_line(text: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    reading_file(ledger).write_text(text)

    with pytest.raises(
        SparseDetError, match=r"ledger\.read\.json: invalid time of the last reading"
    ):
        last_reading(ledger)


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    reading_file(ledger).mkdir()
    with pytest.raises(SparseDetError, match=r"ledger\.read\.json: is a folder"):
        last_reading(ledger)
