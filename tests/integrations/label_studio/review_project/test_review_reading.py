"""Reading a review project: all tasks, but in full only those that somebody touched."""

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool, projects
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.projects import export_tasks, export_touched
from sparsedet.integrations.label_studio.review_project.review_tasks import read_review_tasks
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import push
from tests.integrations.label_studio.samples import mined_boxes

pytestmark = pytest.mark.label_studio


def test_a_task_is_read_in_full_once_somebody_has_touched_it(
    tool: LabelStudioTool,
    pulled: Pulled,
    colleague: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projects, "_IDS_PER_REQUEST", 1)
    review = int(push(tool, pulled, mined_boxes(pulled.dataset)).review_project)
    assert export_touched(tool.connection, review) == {}
    skipped, begun, submitted = tool.open_reviews(str(review))
    skipped.skip()
    for one in (skipped, begun):
        body = {"result": [], "lead_time": 2.0}
        colleague.post_json(f"api/tasks/{one.task.id}/drafts", body, "drawing")
    assert {task.id for task in read_review_tasks(tool.connection, review) if task.drafts} == {
        skipped.task.id,
        begun.task.id,
    }
    submitted.submit(submitted.regions)
    whole = {int(task["id"]): task for task in export_tasks(tool.connection, review)}
    assert export_touched(tool.connection, review) == whole
    tasks = read_review_tasks(tool.connection, review)
    assert {task.id: list(task.annotations) for task in tasks} == {
        id: task["annotations"] for id, task in whole.items()
    }
    assert {task.id: task.data for task in tasks} == {id: t["data"] for id, t in whole.items()}
    assert [len(task.predictions) for task in tasks] == [1, 1, 1]
