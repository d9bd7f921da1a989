"""Requests that a server processes after the client gave up, repaired by the next push."""

from collections.abc import Mapping
from typing import Any

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.review_project.review_setup import (
    find_reviews,
    read_source,
    set_up_review,
)
from sparsedet.tool import DEFAULT_OPTIONS
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import (
    BOXES,
    push,
    review_projects,
    up,
)

pytestmark = pytest.mark.label_studio


def make_late(connection: Connection, pulled: Pulled) -> int:
    """Make a review project as a push does that knows of none."""
    source = read_source(connection, int(pulled.project), DEFAULT_OPTIONS)
    number: int = set_up_review(connection, source, [], None)
    return number


def export(connection: Connection, project: int) -> list[Mapping[str, Any]]:
    what = {"exportType": "JSON", "download_all_tasks": True}
    tasks: list[Mapping[str, Any]] = connection.get_objects(
        f"api/projects/{project}/export", what, "looking"
    )
    return tasks


def test_a_second_review_project_goes_while_it_is_empty(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    make_late(tool.connection, pulled)
    assert len(review_projects(tool, pulled)) == 2
    again = push(tool, pulled)
    assert again.review_project == report.review_project
    assert [str(review.id) for review in review_projects(tool, pulled)] == [report.review_project]
    assert len(up(tool, report)) == BOXES


def test_the_project_in_use_stays_in_use_where_the_late_one_is_older(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    projects = tool.connection.client.projects
    late = make_late(tool.connection, pulled)
    mark = projects.get(late).description
    projects.update(late, description="")
    report = push(tool, pulled)
    projects.update(late, description=mark)
    assert int(report.review_project) > late
    again = push(tool, pulled)
    assert (again.review_project, again.created) == (report.review_project, 0)
    assert [str(review.id) for review in review_projects(tool, pulled)] == [report.review_project]


def test_a_second_review_project_that_people_use_stays(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    renamed, used = make_late(tool.connection, pulled), make_late(tool.connection, pulled)
    tool.connection.client.projects.update(renamed, title="Ours now")
    tool.connection.client.tasks.create(project=used, data={"image": "/data/upload/1/a.png"})
    push(tool, pulled)
    numbers = {review.id for review in review_projects(tool, pulled)}
    assert numbers >= {renamed, used}
    source = read_source(tool.connection, int(pulled.project), DEFAULT_OPTIONS)
    first, *_ = find_reviews(tool.connection, source.number, source.config.control)
    assert first.tasks


def test_late_tasks_without_predictions_are_put_right(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    review = int(report.review_project)
    first, *rest = export(tool.connection, review)
    # A second copy of every task, and one whose prediction never came.
    copies = [{"data": task["data"]} for task in (first, *rest)]
    tool.connection.post_json(f"api/projects/{review}/import", copies, "late")
    for prediction in tool.connection.get_objects(
        "api/predictions/", {"task": first["id"]}, "looking"
    ):
        tool.connection.delete(f"api/predictions/{prediction['id']}/", "late")
    assert len(up(tool, report)) < BOXES
    push(tool, pulled)
    assert [task["id"] for task in export(tool.connection, review)] == [
        task["id"] for task in (first, *rest)
    ]
    assert len(up(tool, report)) == BOXES
