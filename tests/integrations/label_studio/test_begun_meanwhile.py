"""People who begin or submit tasks during a push: their predictions stay, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sparsedet.integrations.label_studio import prelabels
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.drafts.draft_push import still_idle
from sparsedet.integrations.label_studio.predictions import Replacement, StoredPrediction
from sparsedet.integrations.label_studio.review_project import review_push
from sparsedet.integrations.label_studio.review_project.review_plan import ReviewPlan
from sparsedet.integrations.label_studio.review_project.review_tasks import ReviewTask

PROJECT = 4
SUBMITTED: Mapping[str, Any] = {"annotations": [{"id": 1, "result": []}], "drafts": []}
SKIPPED: Mapping[str, Any] = {"annotations": [{"id": 1, "was_cancelled": True}], "drafts": []}
BEGUN: Mapping[str, Any] = {
    "annotations": [],
    "drafts": [{"id": 5, "user": "ann@example.com", "annotation": None, "result": []}],
}
IDLE: Mapping[str, Any] = {"annotations": [], "drafts": []}


@dataclass
class Server:
    """A server with these tasks."""

    tasks: Mapping[int, Mapping[str, Any]]
    url: str = "http://labels.example"
    deleted: list[int] = field(default_factory=list)

    def get_json(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        return [{"id": id, "data": {"image": "x"}, **task} for id, task in self.tasks.items()]

    def get_object(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        return {"tasks": [], "total": 0}

    def delete(self, path: str, what: str) -> None:
        self.deleted.append(int(path.split("/")[2]))


def prediction(id: int) -> StoredPrediction:
    return StoredPrediction.of(id, "older", [{"id": f"m{id}", "score": 0.5}])


def test_reviews_keep_the_predictions_that_they_started_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(review_push, "_AT_A_TIME", 2)
    plan = ReviewPlan()
    for task in (1, 2, 3, 4):
        plan.outdate(ReviewTask(task, "7", (), (), (), {}), [prediction(10 * task)])
    server = Server({1: SUBMITTED, 2: BEGUN, 3: SKIPPED, 4: IDLE})
    shown: list[int] = []
    review_push._delete_outdated(
        cast(Connection, server), PROJECT, plan, lambda what, done, total: shown.append(done)
    )
    assert server.deleted == [30, 40]
    assert shown == sorted(shown)


def test_so_do_annotations_in_draft_mode() -> None:
    server = Server({1: SUBMITTED, 2: BEGUN, 3: SKIPPED, 4: IDLE})
    changes = {str(task): Replacement(None, (prediction(task),)) for task in range(1, 6)}
    assert still_idle(cast(Connection, server), PROJECT, changes).keys() == {"3", "4"}


def test_so_do_annotations_of_pre_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model may take hours."""
    version = f"{prelabels._PREFIX}run digest"
    older = {task: [StoredPrediction.of(task, f"{prelabels._PREFIX}older", [])] for task in (1, 2)}
    made = {t: [*older[t], StoredPrediction.of(10 + t, version, [])] for t in (1, 2)}

    def read(waiting: set[int], ours: Any) -> prelabels._Standing:
        return prelabels._Standing({id: {} for id in waiting}, frozenset({1, 2}), [], ours)

    readings = [read({1, 2}, older), read({2}, made)]
    monkeypatch.setattr(prelabels, "_read", lambda *_: readings.pop(0))
    config = _Config()
    monkeypatch.setattr(prelabels, "read_source_config", lambda *_: config)
    monkeypatch.setattr(prelabels, "_version", lambda *_, **__: version)
    monkeypatch.setattr(prelabels, "read_project", lambda *_: _Shown())
    monkeypatch.setattr(prelabels, "show_version", lambda *_: None)
    monkeypatch.setattr(prelabels._Work, "run", lambda *_: (2, 0))
    server = Server({})
    report = prelabels.put_prelabels(
        cast(Connection, server), str(PROJECT), cast(Any, _Model()), cast(Any, None)
    )
    assert server.deleted == [2]
    assert report.replaced == 1


class _Config:
    has_several, drawer, texts = False, "", {"cat": "cat"}


class _Shown:
    model_version, shows_predictions = "", True


class _Model:
    classes = ("cat",)
