"""Requests that fail in the middle of reading reviews or undoing a merge, without a server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.annotation_choice import digest
from sparsedet.integrations.label_studio.client.answers import OddAnswerError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.client.request_errors import (
    RequestFailedError,
    RequestRefusedError,
)
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.project_records import list_projects
from sparsedet.integrations.label_studio.projects import task_data
from sparsedet.integrations.label_studio.review_project.review_tasks import review_config
from sparsedet.integrations.label_studio.source_annotations import merge_into_source, restore_source
from sparsedet.reviews import Changes
from sparsedet.tool import Applied, Replaced, ToolOptions

SOURCE, REVIEW = 3, 4
BEFORE: list[Any] = [{"id": "a", "type": "choices", "from_name": "light", "value": {}}]
AFTER: list[Any] = [*BEFORE, {"id": "b", "type": "choices", "from_name": "light", "value": {}}]


def refused(status: int, body: object) -> RequestRefusedError:
    return RequestRefusedError(f"status {status}", status, body)


@dataclass
class Server:
    """Answers of a server with an annotated project and its review project."""

    labels: list[str] = field(default_factory=lambda: ["cat"])
    annotations: dict[int, list[Any]] = field(default_factory=dict)
    """Results by task; its annotation has the same id."""
    failing: dict[str, Exception] = field(default_factory=dict)
    """Path -> error."""
    url: str = "http://labels.example"
    account: tuple[int, str] = (1, "ann@example.com")

    def get_json(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        self._fail(path)
        if path == f"api/projects/{SOURCE}/":
            return {"id": SOURCE, "label_config": labelling_config(self.labels)}
        if path == f"api/projects/{REVIEW}/":
            mark = f"[sparsedet review of project {SOURCE}: control=label]"
            config = labelling_config(["cat", "kitten"])
            return {"id": REVIEW, "label_config": config, "description": mark}
        if path == "api/users/":
            return [{"id": 1, "email": "ann@example.com"}]
        if path.endswith("/export"):
            return [
                {"id": id, "data": {"image": "x"}, "annotations": self._of(id)}
                for id in self.annotations
            ]
        if path.endswith("/drafts"):
            return []
        return self._of(int(path.split("/")[2]))

    def _of(self, task: int) -> list[Any]:
        result = self.annotations[task]
        return [] if result is None else [{"id": task, "result": result, "completed_by": 1}]

    get_object = get_objects = get_json

    def patch_json(self, path: str, body: Mapping[str, Any], what: str) -> Any:
        self._fail(path)
        task = int(path.split("/")[2])
        self.annotations[task] = body["result"]
        return {"id": task, "result": body["result"]}

    def delete(self, path: str, what: str) -> None:
        self._fail(path)
        self.annotations[int(path.split("/")[2])] = cast(Any, None)

    def _fail(self, path: str) -> None:
        if path in self.failing:
            raise self.failing[path]

    def restore(self, *replaced: Replaced, version: str | None = None) -> Mapping[str, str]:
        pairs = [(one, version) for one in replaced]
        left: Mapping[str, str] = restore_source(cast(Connection, self), str(SOURCE), pairs)
        return left


def replaced(task: int, before: list[Any] | None = BEFORE) -> Replaced:
    content = {
        "annotation": None if before is None else task,
        "result": before,
        "written": digest(AFTER),
        "others": [] if before is None else [task],
    }
    return Replaced(str(task), content)


@pytest.mark.parametrize(
    "error",
    [
        RequestFailedError("did not answer in time"),
        refused(500, {"detail": "oops"}),
        refused(403, {"detail": "no"}),
        refused(404, "<html>a proxy</html>"),
    ],
)
def test_reviews_are_not_read_under_other_names_after_a_failed_request(error: Exception) -> None:
    server = Server()
    options = ToolOptions(rename={"kitten": "cat"})
    found = review_config(cast(Connection, server), REVIEW, options)
    assert found.texts["kitten"] == "cat"
    server.failing[f"api/projects/{SOURCE}/"] = error
    with pytest.raises(RequestFailedError):
        review_config(cast(Connection, server), REVIEW, options)


def test_reviews_of_a_deleted_project_are_read_under_their_own_names() -> None:
    server = Server(failing={f"api/projects/{SOURCE}/": refused(404, {"detail": "Not found."})})
    found = review_config(cast(Connection, server), REVIEW, ToolOptions())
    assert found.texts["kitten"] == "kitten"
    # So are those of a project that has no boxes any more.
    found = review_config(cast(Connection, Server(labels=[])), REVIEW, ToolOptions())
    assert found.texts["kitten"] == "kitten"


def test_an_undo_reports_what_was_restored_before_the_server_was_lost() -> None:
    server = Server(annotations={7: AFTER, 8: AFTER, 9: AFTER})
    server.failing["api/annotations/8/"] = RequestFailedError("did not answer in time")
    left = server.restore(*map(replaced, (7, 8, 9)))
    assert left == dict.fromkeys(("8", "9"), "did not answer in time")
    assert server.annotations == {7: BEFORE, 8: AFTER, 9: AFTER}
    server.failing.clear()
    assert not server.restore(*map(replaced, (8, 9)))
    assert server.annotations == dict.fromkeys((7, 8, 9), BEFORE)


def test_an_undo_goes_past_an_image_that_the_server_refuses() -> None:
    server = Server(annotations={7: AFTER, 8: AFTER})
    server.failing["api/annotations/7/"] = refused(404, {"detail": "Not found."})
    assert server.restore(replaced(7), replaced(8)) == {"7": "status 404"}
    assert server.annotations == {7: AFTER, 8: BEFORE}


def test_nothing_is_restored_if_the_project_cannot_be_read() -> None:
    server = Server(annotations={7: AFTER})
    server.failing[f"api/projects/{SOURCE}/export"] = RequestFailedError("did not answer in time")
    with pytest.raises(ToolError, match="did not answer in time"):
        server.restore(replaced(7))


@pytest.mark.parametrize(
    ("now", "left"),
    [(AFTER, False), (None, False), ([*AFTER, *BEFORE], True)],
)
def test_an_annotation_of_a_killed_merge_stays_if_somebody_changed_it(
    now: list[Any] | None, left: bool
) -> None:
    server = Server(annotations={7: cast(Any, now)})
    reasons = server.restore(replaced(7, None))
    assert bool(reasons) is left
    assert server.annotations[7] == (now if left else None)


@dataclass
class Answers:
    """A server that answers with these pages of a list, one after the other."""

    pages: list[dict[str, Any]]

    def get_object(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        return self.pages.pop(0)


def tasks(*ids: int, total: int) -> dict[str, Any]:
    return {"tasks": [{"id": id, "data": {"image": "x"}} for id in ids], "total": total}


def test_a_list_that_is_empty_by_mistake_does_not_look_deleted() -> None:
    for pages in ([tasks(total=3)], [tasks(*range(1, 5001), total=5002), tasks(total=2)]):
        with pytest.raises(OddAnswerError, match="an empty page, though"):
            list(task_data(cast(Connection, Answers(pages)), SOURCE))
    with pytest.raises(OddAnswerError, match="an empty page, though"):
        list_projects(cast(Connection, Answers([{"results": [], "count": 1}])), "listing")
    # Tasks may be deleted, all of them too.
    assert not list(task_data(cast(Connection, Answers([tasks(total=0)])), SOURCE))
    pages = [tasks(*range(1, 5001), total=5002), tasks(total=0)]
    assert len(list(task_data(cast(Connection, Answers(pages)), SOURCE))) == 5000


def box(id: str) -> dict[str, Any]:
    """A rectangle of a person."""
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]}
    size = {"original_width": 100, "original_height": 100}
    names = {"from_name": "label", "to_name": "image", "type": "rectanglelabels"}
    return {"id": id, **names, **size, "value": value}


def merged(server: Server, images: Iterable[int]) -> dict[str, Applied]:
    """Merge reviews that delete box `b` of images."""
    plans = {str(id): lambda _: Changes(removed=frozenset({"b"})) for id in images}
    sizes = dict.fromkeys(plans, (100, 100))
    kept: list[Replaced] = []
    found = merge_into_source(
        cast(Connection, server), str(SOURCE), plans, sizes=sizes, keep=kept.append
    )
    return {one.tool_id: one for one in found}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("api/annotations/7/", refused(400, {"detail": "invalid"})),
        ("api/annotations/7/", refused(404, {"detail": "Not found."})),
        ("api/tasks/7/annotations/", refused(404, {"detail": "Not found."})),
    ],
)
def test_an_image_that_the_server_refuses_does_not_hold_up_a_merge(
    path: str, error: Exception
) -> None:
    both = [box("a"), box("b")]
    server = Server(annotations={7: both, 8: both}, failing={path: error})
    found = merged(server, (7, 8))
    assert found["7"].state is not None
    assert found["7"].state.blocked == str(error)
    assert not found["8"].overtaken
    assert server.annotations == {7: both, 8: [box("a")]}


def test_a_merge_ends_if_the_server_refuses_one_image_after_another() -> None:
    both, ids = [box("a"), box("b")], range(10, 30)
    paths = [f"api/annotations/{id}/" for id in ids]
    failing = dict.fromkeys(paths[::2], refused(500, {"detail": "oops"}))
    server = Server(annotations=dict.fromkeys(ids, both), failing=dict[str, Exception](failing))
    found = merged(server, ids)
    assert sum(one.state is not None and bool(one.state.blocked) for one in found.values()) == 10
    server.failing = dict.fromkeys(paths, refused(500, {"detail": "oops"}))
    server.annotations = dict.fromkeys(ids, both)
    with pytest.raises(RequestRefusedError):
        merged(server, ids)


@pytest.mark.parametrize(
    "error",
    [
        RequestFailedError("did not answer in time"),
        refused(503, {"detail": "oops"}),
        refused(500, "<html>a proxy</html>"),
        refused(403, {"detail": "no"}),
        refused(404, "<html>a proxy</html>"),
    ],
)
def test_a_merge_ends_if_the_server_fails(error: Exception) -> None:
    both = [box("a"), box("b")]
    failing = {"api/annotations/8/": error}
    server = Server(annotations={7: both, 8: both, 9: both}, failing=failing)
    with pytest.raises(ToolError):
        merged(server, (7, 8, 9))
    assert server.annotations == {7: [box("a")], 8: both, 9: both}
    server.failing.clear()
    assert [bool(one.changes) for one in merged(server, (8, 9)).values()] == [True, True]


def test_what_is_gone_need_not_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [refused(404, {"detail": "Not found."}), refused(404, "<html>"), refused(500, {})]

    def answer(*_: object, **__: object) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(Connection, "_send", answer)
    connection = Connection.__new__(Connection)
    connection.delete("api/predictions/5/", "deleting it")
    for _ in range(2):
        with pytest.raises(RequestRefusedError):
            connection.delete("api/predictions/5/", "deleting it")
