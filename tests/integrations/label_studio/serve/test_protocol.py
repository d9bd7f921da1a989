"""Label Studio's protocol for models, with a real model; only the images are ours."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import cv2
import pytest
from fastapi.testclient import TestClient

from sparsedet.annotations.matching import iou_matrix
from sparsedet.errors import RunError, ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.geometry import from_percent
from sparsedet.integrations.label_studio.labelling_config.label_config import parse_config
from sparsedet.integrations.label_studio.review_project.review_tasks import SOURCE_TASK_KEY
from sparsedet.integrations.label_studio.serve.app import make_app
from sparsedet.integrations.label_studio.serve.model_host import ModelHost
from sparsedet.integrations.label_studio.serve.predictor import live_categories
from sparsedet.integrations.label_studio.serve.secret import USER
from sparsedet.integrations.label_studio.serve.service import Service, ServiceSettings
from sparsedet.integrations.label_studio.serve.work_queue import BusyError, WorkQueue
from sparsedet.tool import DEFAULT_OPTIONS
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    HEIGHT,
    WIDTH,
    complete_mark,
    rectangle,
    scene,
)
from tests.integrations.label_studio.serve.eager_run import make_eager_run

SECRET = "a secret of many letters"
KEY = "0123456789abcdef0123456789abcdef01234567"
CLASSES = [(1, "orange"), (2, "parcel")]
CONFIG = labelling_config(["orange", "parcel"])


class _Images(BaseHTTPRequestHandler):
    """Serves one image, once `answers` is set."""

    picture = b""
    answers = Event()
    authorized: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        if self.path.startswith("/data/"):
            self.authorized.append(self.headers["Authorization"])
            self.answers.wait(10)
        missing = "missing" in self.path
        self.send_response(404 if missing else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if not missing:
            self.wfile.write(self.picture if self.path.startswith("/data/") else b'{"id": 1}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_eager_run(tmp_path_factory.mktemp("serve") / "run", CLASSES).root


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    _Images.picture = cv2.imencode(".jpg", scene())[1].tobytes()
    _Images.answers.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Images) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def tool(server: str) -> LabelStudioTool:
    return LabelStudioTool(server, api_key=KEY)


def service(tool: LabelStudioTool, run: Path) -> Service:
    settings = ServiceSettings(
        run, None, "cpu", tool.url, DEFAULT_OPTIONS, (), api_key=KEY, secret=SECRET
    )
    return Service(settings, tool)


@pytest.fixture(scope="module")
def client(tool: LabelStudioTool, run: Path) -> Iterator[TestClient]:
    app = make_app(service(tool, run))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.auth = (USER, SECRET)
        yield client


def task(id: int = 7, image: str = "/data/upload/3/table.jpg", **annotation: Any) -> dict[str, Any]:
    """A task as the server sends it, with one annotation if it has a result."""
    annotations = [{"id": 70, "created_at": "2026-01-01T00:00:00Z", **annotation}]
    return {"id": id, "data": {"image": image}, "annotations": annotations if annotation else []}


COPY = {"id": 8, "data": {"image": "/data/upload/3/table.jpg", SOURCE_TASK_KEY: "of no task"}}


def human_boxes() -> list[dict[str, Any]]:
    """What people drew on the scene."""
    return [
        rectangle(
            dict(CLASSES)[category],
            id=name,
            value={
                "x": left / WIDTH * 100,
                "y": top / HEIGHT * 100,
                "width": (right - left) / WIDTH * 100,
                "height": (bottom - top) / HEIGHT * 100,
                "rotation": 0,
                "rectanglelabels": [dict(CLASSES)[category]],
            },
        )
        for name, (category, (left, top, right, bottom)) in DRAWN_BY_PEOPLE.items()
    ]


def predict(client: TestClient, *tasks: dict[str, Any], config: str = CONFIG) -> Any:
    body = {"tasks": list(tasks), "project": "3.1732540000", "label_config": config, "params": {}}
    return client.post("/predict", json=body)


def test_it_is_up_and_names_its_model(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "UP"
    asked = {"project": "3.1", "schema": CONFIG, "access_token": "not ours to keep"}
    assert client.post("/setup", json=asked).json() == {"model_version": "eager-sparsedet-live"}


@pytest.mark.parametrize("path", ["/health", "/setup", "/predict", "/webhook"])
@pytest.mark.parametrize("given", [None, (USER, "wrong"), (USER, ""), (USER, SECRET + "x")])
def test_a_wrong_secret_is_refused(
    client: TestClient, path: str, given: tuple[str, str] | None
) -> None:
    stranger = TestClient(client.app)
    method = "GET" if path == "/health" else "POST"
    if given is not None:
        stranger.auth = given
    answer = stranger.request(method, path, content=b"no JSON")
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("wrong or missing secret")
    assert stranger.request(method, f"/wrong{path}", content=b"no JSON").status_code == 401


def test_a_password_that_is_not_ascii_is_a_wrong_one(client: TestClient) -> None:
    header = [(b"Authorization", b"Basic \xe9\xe9==")]
    answer = TestClient(client.app, raise_server_exceptions=False).get("/health", headers=header)
    assert answer.status_code == 401


def test_the_path_may_hold_the_secret(client: TestClient) -> None:
    stranger = TestClient(client.app)
    assert stranger.get(f"/{SECRET}/health").json()["status"] == "UP"
    # What is in the path counts, as the server sends it as it was typed.
    assert stranger.get("/wrong/health", auth=(USER, SECRET)).status_code == 401


def test_predictions_hold_human_boxes_and_what_none_of_them_explains(client: TestClient) -> None:
    (answer,) = predict(client, task(result=human_boxes())).json()["results"]
    human = {r["id"]: r for r in answer["result"] if "score" not in r}
    mined = [r for r in answer["result"] if "score" in r]
    assert human.keys() == DRAWN_BY_PEOPLE.keys()
    assert mined
    assert answer["score"] == max(r["score"] for r in mined)
    assert answer["model_version"] == "eager-sparsedet-live"
    boxes = [from_percent(r["value"], WIDTH, HEIGHT).xyxy for r in mined]
    overlap = iou_matrix(boxes, [xyxy for _, xyxy in DRAWN_BY_PEOPLE.values()])
    assert overlap.max() < 0.7
    # Without annotation the same model finds what people had drawn, too, and more.
    (alone,) = predict(client, task()).json()["results"]
    assert all("score" in region for region in alone["result"])
    assert {r["id"] for r in mined} < {r["id"] for r in alone["result"]} | human.keys()
    assert _Images.authorized == [f"Token {KEY}"] * 2


def test_nothing_is_added_to_complete_images(client: TestClient) -> None:
    (answer,) = predict(client, task(result=[*human_boxes(), complete_mark()])).json()["results"]
    assert {region["id"] for region in answer["result"]} == DRAWN_BY_PEOPLE.keys()


def test_one_broken_task_costs_no_other(client: TestClient) -> None:
    broken = task(8, "/data/upload/3/missing.jpg")
    answer = predict(client, broken, task())
    assert answer.status_code == 200
    assert [bool(result) for result in answer.json()["results"]] == [False, True]
    alone = predict(client, broken)
    assert alone.status_code == 500
    assert re.match(r"task 8: its image /data/\S+ is missing: .*404", alone.json()["error"])


@pytest.mark.parametrize(
    "odd",
    [None, {}, task() | {"id": "x"}, task() | {"data": 1}, task() | {"annotations": [1]}, COPY],
)
def test_what_is_no_task_costs_no_other(client: TestClient, odd: Any) -> None:
    answer = predict(client, odd, task())
    assert [bool(result) for result in answer.json()["results"]] == [False, True]
    alone = predict(client, odd)
    assert alone.status_code == 500
    assert re.search("a task of the request is invalid|expected the number", alone.json()["error"])


@pytest.mark.parametrize(
    "body",
    [b"no JSON", b"[" * 100_000, b"[]", b'{"tasks": [], "label_config": "x"}', b'{"tasks": 3}'],
)
def test_requests_that_are_none(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_a_project_without_a_class_of_the_model(client: TestClient) -> None:
    answer = predict(client, task(), config=labelling_config(["orange"]))
    assert answer.status_code == 500
    assert "project 3 has no label 'parcel'" in answer.json()["error"]


def test_an_answer_that_would_come_too_late_is_none(tool: LabelStudioTool, run: Path) -> None:
    with TestClient(make_app(service(tool, run), answer_seconds=1.5)) as client:
        client.auth = (USER, SECRET)
        _Images.answers.clear()
        try:
            start = time.monotonic()
            answer = predict(client, task())
            assert time.monotonic() - start < 5
            assert answer.status_code == 503
            assert answer.json()["error"].startswith("busy: no answer in time")
            assert client.get("/health").status_code == 200
        finally:
            _Images.answers.set()


@pytest.mark.parametrize(("most", "said"), [(5, "5 images are waiting"), (1, "1 image is waiting")])
def test_no_more_waits_than_may(most: int, said: str) -> None:
    async def crowd() -> list[Any]:
        queue = WorkQueue(most_waiting=most)
        deadline = time.monotonic() + 20
        work = (queue.run(lambda: time.sleep(0.2), deadline) for _ in range(most + 4))
        return await asyncio.gather(*work, return_exceptions=True)

    results = asyncio.run(crowd())
    assert [type(result) for result in results] == [type(None)] * most + [BusyError] * 4
    assert said in str(results[-1])


def test_what_can_t_be_in_time_is_refused_at_once() -> None:
    async def late() -> float:
        queue = WorkQueue()
        await queue.run(lambda: time.sleep(0.3), time.monotonic() + 5)
        start = time.monotonic()
        with pytest.raises(BusyError, match="retry later"):
            await queue.run(lambda: time.sleep(0.3), start + 0.01)
        return time.monotonic() - start

    assert asyncio.run(late()) < 0.1


def test_a_dead_model_is_one_line(tool: LabelStudioTool, tmp_path: Path) -> None:
    run = make_eager_run(tmp_path / "run", CLASSES)
    run.model.write_bytes(b"no weights")
    host = ModelHost(run.root, None, "cpu")
    with pytest.raises(RunError, match=r"model\.pth: not a readable checkpoint"):
        host.load()
    with TestClient(make_app(service(tool, run.root))) as client:
        client.auth = (USER, SECRET)
        for answer in (predict(client, task()), client.post("/setup", json={})):
            assert answer.status_code == 503
            assert "not a readable checkpoint" in answer.json()["error"]
            assert "\n" not in answer.json()["error"]


def test_labels_of_a_project_as_a_model_s_classes() -> None:
    config = parse_config(labelling_config(["parcel", "leaf", "orange"]), "3", DEFAULT_OPTIONS)
    found = live_categories(CLASSES, config, "3")
    assert [(category.id, category.name) for category in found] == [*CLASSES, (3, "leaf")]
    with pytest.raises(ToolError, match="no label 'cell'"):
        live_categories([(1, "cell")], config, "3")


def test_reports_are_answered_at_once(client: TestClient) -> None:
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "task": {"id": 7}}
    start = time.monotonic()
    assert client.post("/webhook", json=event).json() == {"status": "noted"}
    assert client.post("/webhook", json={"action": "START_TRAINING"}).json()["status"] == "ignored"
    assert time.monotonic() - start < 0.5
    assert json.loads(client.post("/webhook", content=b"[]").text)["error"]


def test_a_project_is_connected_by_its_number(tool: LabelStudioTool, tmp_path: Path) -> None:
    connect = ("7", "cells")
    settings = ServiceSettings(
        tmp_path, None, "cpu", tool.url, DEFAULT_OPTIONS, connect, KEY, SECRET
    )
    with pytest.raises(ToolError, match="invalid Label Studio project 'cells'"):
        Service(settings, tool)
