"""The fault run: the effect of each fault on a request, and the counting of boxes after it."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from benchmarks.faults.cases import FAULTS, OPERATIONS
from benchmarks.faults.client import Finished
from benchmarks.faults.people import IMAGES, Boxes, Project
from benchmarks.faults.proxy import Injection, Kind, Proxy, Request
from benchmarks.faults.server_state import (
    ProjectState,
    State,
    Task,
    after_drafts,
    after_merge,
    after_push,
    after_undo,
)

BODY = b"0123456789"


class Upstream:
    """A server that remembers the bodies that it was sent."""

    def __init__(self) -> None:
        upstream = self
        self.seen: list[bytes] = []
        self.arrived = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(b"read")

            def do_POST(self) -> None:
                upstream.seen.append(self.rfile.read(int(self.headers["Content-Length"])))
                upstream.arrived.set()
                with suppress(ConnectionError):
                    self.answer(b"written")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.server.shutdown()
    upstream.server.server_close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", upstream.server.server_port)).running() as proxy:
        yield proxy


def post(proxy: Proxy, body: bytes = BODY, timeout: float = 20.0) -> httpx.Response:
    return httpx.post(f"{proxy.url}/things/", content=body, timeout=timeout)


def test_without_fault_everything_passes(proxy: Proxy, upstream: Upstream) -> None:
    with httpx.Client(base_url=proxy.url) as client:
        for _ in range(20):
            assert client.post("/things/", content=BODY).text == "written"
            assert client.get("/things/").text == "read"
    assert upstream.seen == [BODY] * 20
    writes = proxy.disarm()
    assert [(write.method, write.path) for write in writes] == [("POST", "/things/")] * 20


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("cut-before", []),
        ("cut-half", [BODY[:5]]),
        ("cut-after", [BODY]),
        ("kill-client", [BODY]),
        ("kill-server", [BODY]),
    ],
)
def test_a_cut_connection(
    proxy: Proxy, upstream: Upstream, kind: Kind, seen: Sequence[bytes]
) -> None:
    proxy.arm(Injection(kind, 1))
    with pytest.raises(httpx.TransportError):
        post(proxy)
    assert proxy.reached.wait(5)
    if seen:
        assert upstream.arrived.wait(5)
    assert upstream.seen == seen
    # Only that one request.
    assert post(proxy).text == "written"


def test_a_cut_connection_is_reset(proxy: Proxy) -> None:
    proxy.arm(Injection("cut-before", 1))
    address = httpx.URL(proxy.url)
    with socket.create_connection((address.host, address.port or 0)) as client:
        client.sendall(b"POST /things/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize(
    ("kind", "status", "seen"),
    [("429", 429, 0), ("500", 500, 0), ("503", 503, 0), ("502-after", 502, 1)],
)
def test_a_refusal(proxy: Proxy, upstream: Upstream, kind: Kind, status: int, seen: int) -> None:
    proxy.arm(Injection(kind, 1))
    assert post(proxy).status_code == status
    assert len(upstream.seen) == seen


def test_an_answer_that_does_not_come(proxy: Proxy, upstream: Upstream) -> None:
    proxy.arm(Injection("time-out", 1))
    with pytest.raises(httpx.ReadTimeout):
        post(proxy, timeout=0.5)
    assert proxy.reached.is_set()
    assert upstream.seen == [BODY]


def test_a_request_that_arrives_before_the_next_write(proxy: Proxy, upstream: Upstream) -> None:
    proxy.arm(Injection("late-during", 1))
    with pytest.raises(httpx.TransportError):
        post(proxy, b"late")
    proxy.disarm()
    httpx.get(f"{proxy.url}/things/")
    assert upstream.seen == []
    post(proxy, b"repeated")
    assert upstream.seen == [b"late", b"repeated"]
    assert not proxy.deliver_late()


def test_a_request_that_arrives_after_the_next_one(proxy: Proxy, upstream: Upstream) -> None:
    proxy.arm(Injection("late-after", 1))
    with pytest.raises(httpx.TransportError):
        post(proxy, b"late")
    proxy.disarm()
    post(proxy, b"repeated")
    assert proxy.deliver_late()
    assert upstream.seen == [b"repeated", b"late"]


@pytest.mark.parametrize("kind", ["person-saves", "kill-client"])
def test_what_happens_before_the_request_arrives(
    proxy: Proxy, upstream: Upstream, kind: Kind
) -> None:
    def act(request: Request) -> None:
        upstream.seen.append(b"first " + request.path.encode())

    proxy.arm(Injection(kind, 1, act=act))
    with suppress(httpx.TransportError):
        post(proxy)
    assert proxy.reached.wait(5)
    assert upstream.seen == [b"first /things/", BODY]


def test_reads_and_writes_are_counted_apart(proxy: Proxy, upstream: Upstream) -> None:
    def statuses() -> list[int]:
        urls = [f"{proxy.url}/things/"] * 3
        return [r.status_code for url in urls for r in (httpx.get(url), httpx.post(url))]

    proxy.arm(Injection("503", 2))
    assert statuses() == [200, 200, 200, 503, 200, 200]
    proxy.arm(Injection("503", 3, of_reads=True))
    assert statuses() == [200, 200, 200, 200, 503, 200]
    assert proxy.hit is not None
    assert proxy.hit.method == "GET"


def test_sixty_faults_on_every_operation() -> None:
    assert len(FAULTS) == len({fault.key for fault in FAULTS}) == 60
    assert {fault.operation for fault in FAULTS} == OPERATIONS.keys()


@pytest.fixture
def project() -> Project:
    """One whose images are the tasks 1 to 10."""
    return Project(1, range(1, IMAGES + 1), Boxes.draw(1), {})


def annotated(project: Project, **changes: Any) -> ProjectState:
    """The annotated project as it was set up; `changes` are those of the first task."""
    tasks = [
        Task(id, None, [{"result": human}] if human else [], [], [])
        for id, human in zip(project.tasks, project.boxes.human.values(), strict=True)
    ]
    first = {**vars(tasks[0]), **changes}
    return ProjectState(project.number, [Task(**first), *tasks[1:]], ())


def prediction(project: Project, image: int) -> dict[str, Any]:
    result = [*project.boxes.human[image], *project.boxes.mined[image]]
    return {"model_version": "ours", "result": result}


def review_task(project: Project, image: int, *predictions: Any) -> Task:
    return Task(100 + image, project.tasks[image], [], [], predictions)


def test_boxes_that_are_up_twice_or_not_at_all(project: Project) -> None:
    once, twice = prediction(project, 0), prediction(project, 1)
    tasks = [review_task(project, 0, once), review_task(project, 1, twice, twice)]
    state = State(annotated(project), [ProjectState(2, tasks, ())])
    planned = [box.region_id for box in project.mined(range(3))]
    counts = after_push(state, project, planned, "2")
    assert (counts.planned, counts.found, counts.doubled, counts.lost) == (7, 5, 2, 2)
    # Reviews are looked for in the project that the command names.
    assert after_push(state, project, planned, "3").lost == 2 + 5


def test_a_prediction_that_lacks_a_human_box(project: Project) -> None:
    only_mined = {"result": project.boxes.mined[0]}
    tasks = [review_task(project, 0, only_mined), review_task(project, 1)]
    state = State(annotated(project), [ProjectState(2, tasks, ())])
    counts = after_push(state, project, [box.region_id for box in project.mined([0])], "2")
    assert (counts.found, counts.lost, counts.spare) == (3, 2, 1)


def test_a_draft_that_would_overwrite_what_a_person_saved(project: Project) -> None:
    saved = {**project.boxes.human[0][0], "id": "p0"}
    human = [*project.boxes.human[0], saved]
    state = State(
        annotated(project, annotations=[{"result": human}], drafts=[prediction(project, 0)]), []
    )
    project.saved[1] = saved
    assert after_drafts(state, project, ["m0-0", "m0-1", "m0-2"]).lost == 1
    withdrawn = State(annotated(project, annotations=[{"result": human}]), [])
    # The image's boxes wait for the next pull.
    assert after_drafts(withdrawn, project, ["m0-0", "m0-1", "m0-2"]).is_good


def test_a_merge_that_loses_or_doubles(project: Project) -> None:
    expected = State(annotated(project), []).annotations(project)
    human = project.boxes.human[0]

    def merged(*annotations: Any) -> tuple[int, int]:
        state = State(annotated(project, annotations=[{"result": a} for a in annotations]), [])
        counts = after_merge(state, project, expected)
        return counts.lost, counts.doubled

    assert merged(human) == (0, 0)
    assert merged(human[:1]) == (1, 0)
    assert merged(human, human) == (0, 2)
    # A box that nobody accepted.
    assert merged([*human, *project.boxes.mined[0][:1]]) == (1, 0)
    moved = {**human[0], "value": {**human[0]["value"], "x": 90.0}}
    assert merged([moved, human[1]]) == (1, 0)
    project.saved[1] = {**human[0], "id": "p0"}
    assert merged([*human, project.saved[1]]) == (0, 0)
    assert merged(human) == (1, 0)


def test_an_undo_that_leaves_boxes_or_takes_too_much(project: Project) -> None:
    task = review_task(project, 0, prediction(project, 0))
    reviewed = Task(200, 2, [{"result": project.boxes.human[1]}], [], [])
    before = State(annotated(project), [ProjectState(2, [task, reviewed], ["My own"])])
    planned = ["m0-0", "m0-1", "m0-2"]
    assert after_undo(before, project, before, planned).found == 0
    done = State(annotated(project), [ProjectState(2, [reviewed], ["My own"])])
    assert after_undo(done, project, before, planned).is_good
    too_much = State(annotated(project), [])
    # The view and the two boxes of the review.
    assert after_undo(too_much, project, before, planned).lost == 3


@pytest.mark.parametrize(
    ("status", "errors", "complaint"),
    [
        (1, "WARNING: odd\nerror: no server\n", None),
        (1, "error: no server\nis it on?\n", "2 lines: error: no server"),
        (1, "", "status 1 without an error line"),
        (1, "Traceback (most recent call last):\n  ...\nKeyError: 1\n", "traceback: KeyError: 1"),
        (-9, "", None),
    ],
)
def test_an_error_is_one_line(status: int, errors: str, complaint: str | None) -> None:
    assert Finished(status, "", errors).complaint == complaint
