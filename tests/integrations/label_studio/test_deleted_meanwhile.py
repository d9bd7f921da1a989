"""Tasks that somebody deletes during a push, without a server."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.client.request_errors import RequestRefusedError
from sparsedet.integrations.label_studio.drafts.draft_plan import WantedDraft
from sparsedet.integrations.label_studio.drafts.draft_push import delete_drafts, write_drafts
from sparsedet.integrations.label_studio.drafts.draft_tasks import Draft, signed
from sparsedet.integrations.label_studio.offers import GONE
from sparsedet.integrations.label_studio.predictions import NewPrediction, import_predictions
from sparsedet.integrations.label_studio.review_project import review_push
from sparsedet.integrations.label_studio.review_project.base_mode import BaseMode
from sparsedet.integrations.label_studio.review_project.review_mode import ReviewProjectMode
from sparsedet.integrations.label_studio.review_project.review_plan import ReviewPlan
from sparsedet.integrations.label_studio.review_project.review_tabs import BOXES, Facts
from sparsedet.integrations.label_studio.review_project.review_tasks import VERSION_KEY, ReviewTask
from sparsedet.integrations.label_studio.sheets.sheet_mode import SheetMode
from sparsedet.push_modes import no_progress
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT
from sparsedet.sheets.layout import Crop
from sparsedet.tool import ToolOptions

PROJECT = 4
MINED: dict[str, Any] = {"id": "m", "score": 0.5, "value": {"x": 1.0}}


def refused(status: int, detail: str) -> RequestRefusedError:
    return RequestRefusedError(detail, status, {"detail": detail})


@dataclass
class Server:
    """A server with these tasks, each with an annotation of the same id."""

    tasks: set[int]
    predictions: list[dict[str, Any]] = field(default_factory=list)
    drafts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    data: dict[int, Any] = field(default_factory=dict)
    processed: int = 0
    """Predictions that a failing request creates before it fails."""

    def get_object(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        tasks = [{"id": id, "data": {"image": "x"}} for id in sorted(self.tasks)]
        return {"tasks": tasks, "total": len(tasks)}

    def get_entries(self, path: str, params: Any, what: str, keep: Any) -> list[Any]:
        return [keep({"id": id, **p}) for id, p in enumerate(self.predictions, start=1)]

    def get_objects(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        task = self._task(path)
        return self.drafts[task] if path.endswith("/drafts") else [{"id": task, "result": []}]

    def post_json(self, path: str, body: Any, what: str) -> Any:
        if path.endswith("/drafts"):
            self.drafts[self._task(path)].append({"id": 50, **body})
            return {"id": 50}
        if unknown := [item for item in body if item["task"] not in self.tasks]:
            self.predictions += body[: self.processed]
            raise refused(400, f"task ID {unknown[0]['task']} not found")
        self.predictions += body
        return {"created": len(body)}

    def patch_json(self, path: str, body: Mapping[str, Any], what: str) -> Any:
        self.data[self._task(path)] = body["data"]

    def _task(self, path: str) -> int:
        task = int(path.split("/")[2])
        if task not in self.tasks:
            raise refused(404, "Not found.")
        return task

    def create(self, tasks: Sequence[int]) -> None:
        new = [NewPrediction(task, [MINED], "v") for task in tasks]
        import_predictions(cast(Connection, self), PROJECT, new, no_progress)


@pytest.mark.parametrize("processed", [0, 2])
def test_other_predictions_are_created_once(processed: int) -> None:
    server = Server({1, 2, 4}, processed=processed)
    server.create([1, 2, 3, 4])
    assert sorted(p["task"] for p in server.predictions) == [1, 2, 4]
    server = Server(set())
    server.create([3])
    assert not server.predictions


def test_other_refusals_stay_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server({1})
    for status in (400, 403):

        def refuse(*_: object, status: int = status) -> None:
            raise refused(status, "no")

        monkeypatch.setattr(server, "post_json", refuse)
        with pytest.raises(RequestRefusedError, match="no"):
            server.create([1])


def test_other_drafts_are_written() -> None:
    server = Server({1, 3}, drafts={1: [], 3: []})
    result = signed([], [MINED])
    wanted = [WantedDraft(task, {"id": task, "result": []}, result, None) for task in (1, 2, 3)]
    assert write_drafts(cast(Connection, server), wanted, no_progress) == {"2": GONE}
    assert [len(server.drafts[task]) for task in (1, 3)] == [1, 1]
    gone = [(2, Draft(9, "ann@example.com", 2, result))]
    assert delete_drafts(cast(Connection, server), gone, no_progress) == 0


def test_other_tasks_get_their_data() -> None:
    server = Server({1})
    connection = cast(Connection, server)
    tasks = [ReviewTask(id, str(id), (), (), (), {"image": "x"}) for id in (1, 2)]
    plan = ReviewPlan(noted=[(task, "v") for task in tasks])
    review_push.apply_plan(connection, PROJECT, plan, no_progress)
    noted = {"image": "x", VERSION_KEY: "v"}
    assert server.data == {1: noted}
    facts: Facts = {task.source_task: {BOXES: 3} for task in tasks}
    review_push._update_facts(connection, tasks, plan, facts, no_progress)
    assert server.data == {1: {**noted, BOXES: 3}}


@pytest.mark.parametrize("mode", [ReviewProjectMode, SheetMode])
def test_other_tasks_get_the_new_numbers(
    mode: type[BaseMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (0.0, 0.0, 9.0, 9.0)
    tasks = []
    for id in (1, 2):
        crop = Crop("m", str(id), (9, 9), whole, whole)
        data = {LAYOUT: Sheet(str(id), "cat", (9, 9), (crop,)).to_json()}
        tasks.append(ReviewTask(id, str(id), (), (), (), data))
    monkeypatch.setattr(sys.modules[mode.__module__], "read_review_tasks", lambda *_: tasks)
    server = Server({1})
    mode(cast(Connection, server), ToolOptions()).rename_images("4", {"1": "7", "2": "8"})
    assert server.data.keys() == {1}
    assert "7" in json.dumps(server.data)
