"""Long lists that others change while they are read, without a server."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.client.request_errors import (
    RequestFailedError,
    RequestRefusedError,
)
from sparsedet.integrations.label_studio.project_records import list_projects
from sparsedet.integrations.label_studio.projects import task_data


@dataclass
class Server:
    """A server with a list of projects or tasks, which changes before each answer but the first."""

    ids: list[int]
    change: Callable[[list[int]], object]
    answers: int = 0
    most: int = 5000
    """Largest page."""

    def get_object(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        if self.answers:
            self.change(self.ids)
        self.answers += 1
        ids = self.ids
        for condition in json.loads(params.get("query", "{}")).get("filters", {}).get("items", ()):
            assert condition["filter"] == "filter:tasks:id"
            ids = sorted(id for id in ids if id > condition["value"])
        size = min(params["page_size"], self.most)
        start = (params["page"] - 1) * size
        if start and start >= len(ids):
            raise RequestRefusedError("status 404", 404, {"detail": "Invalid page."})
        some = [{"id": id, "data": {"image": "x"}} for id in ids[start : start + size]]
        return {"tasks": some, "total": len(ids), "results": some, "count": len(ids)}

    @property
    def tasks(self) -> list[int]:
        return [id for id, _ in task_data(cast(Connection, self), 3)]

    @property
    def projects(self) -> list[int]:
        return [record.number for record in list_projects(cast(Connection, self), "listing")]


def remove(ids: list[int], *gone: int) -> None:
    ids[:] = [id for id in ids if id not in gone]


@pytest.mark.parametrize("most", [5000, 100])
def test_no_task_is_skipped_since_others_are_deleted_meanwhile(most: int) -> None:
    server = Server(list(range(1, 10_003)), lambda ids: remove(ids, 3, 4, 5), most=most)
    assert set(server.tasks) == set(range(1, 10_003))
    server = Server(list(range(1, 5003)), lambda ids: remove(ids, 5001, 5002), most=most)
    assert server.tasks == list(range(1, 5001))
    assert not Server([], lambda ids: None).tasks


@pytest.mark.parametrize("gone", [(250,), tuple(range(200, 251))])
def test_no_project_is_skipped_since_others_are_deleted_meanwhile(gone: tuple[int, ...]) -> None:
    server = Server(list(range(250, 0, -1)), lambda ids: remove(ids, *gone))
    assert server.projects == [id for id in range(250, 0, -1) if id not in gone]
    # One page more than without the deletion.
    assert server.answers <= 5


def test_a_new_project_is_read_once() -> None:
    def add(ids: list[int]) -> None:
        if 251 not in ids:
            ids.insert(0, 251)

    assert Server(list(range(250, 0, -1)), add).projects == list(range(251, 0, -1))
    assert not Server([], lambda ids: None).projects
    assert Server([4], lambda ids: None).projects == [4]


def test_a_list_that_always_changes_is_an_error() -> None:
    server = Server(list(range(10_000, 0, -1)), lambda ids: ids.pop(0))
    with pytest.raises(RequestFailedError, match=r"the list changes while it is read \(listing\)"):
        assert not server.projects
