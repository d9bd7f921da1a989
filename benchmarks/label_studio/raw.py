"""The server's own cost: the minimal requests of any client."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.project_setup import create_project, labelling_config

from .setting import HEIGHT, LABELS, WIDTH

PER_REQUEST = 10_000
"""Batch size for tasks, or for predictions of five boxes: as in sparsedet's requests."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server, called with minimal overhead."""

    url: str
    key: str

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and read the complete response."""
        headers = {"Authorization": f"Token {self.key}"}
        answer = httpx.request(
            method, f"{self.url}/{path}", headers=headers, timeout=900, **options
        )
        answer.raise_for_status()
        return answer


def read_seconds(server: Server, project: int) -> float:
    """Return the seconds of the JSON export and the listing of predictions together."""
    start = time.monotonic()
    export = {"exportType": "JSON", "download_all_tasks": True}
    server.request("GET", f"api/projects/{project}/export", params=export)
    server.request("GET", "api/predictions/", params={"project": project})
    return time.monotonic() - start


@dataclass(frozen=True, slots=True)
class WriteSeconds:
    """Seconds to put images up for review."""

    bulk: float
    """All of them, in bulk calls."""
    one_by_one: float
    """All of them, with one call per task and prediction; extrapolated."""


def write_seconds(
    connection: Connection,
    server: Server,
    dataset: Dataset,
    mined: Sequence[MinedBox],
    sample: int,
) -> WriteSeconds:
    """Return the seconds to create a task and a prediction for each image.

    This uses a separate project, which is deleted afterwards; calls one by one come last, when the
    project is as large.

    Args:
        connection: creates the project.
        server: the same server.
        dataset: the pulled dataset.
        mined: the boxes to push.
        sample: number of images whose tasks and predictions are created one by one.
    """
    project = create_project(connection, "calls alone", labelling_config(LABELS))
    try:
        tasks = [
            {"data": {"image": f"/data/local-files/?d=images/{image.file_name}", "of": image.id}}
            for image in dataset.images
        ]
        results = _results(dataset, mined)
        start = time.monotonic()
        ids: list[int] = []
        path = f"api/projects/{project}/import?return_task_ids=true"
        for some in _parts(tasks):
            ids += server.request("POST", path, json=some).json()["task_ids"]
        predictions = [_prediction(*pair) for pair in zip(ids, results, strict=True)]
        for some in _parts(predictions):
            server.request("POST", f"api/projects/{project}/import/predictions", json=some)
        bulk = time.monotonic() - start
        start = time.monotonic()
        for task, result in list(zip(tasks, results, strict=True))[:sample]:
            body = {**task, "project": project}
            id = server.request("POST", "api/tasks/", json=body).json()["id"]
            server.request("POST", "api/predictions/", json=_prediction(id, result))
        each = (time.monotonic() - start) / min(sample, len(tasks))
    finally:
        server.request("DELETE", f"api/projects/{project}/")
    return WriteSeconds(bulk, each * len(tasks))


def _results(dataset: Dataset, mined: Sequence[MinedBox]) -> list[list[dict[str, Any]]]:
    """Return the boxes up for review on each image: people's and mined ones."""
    names = {category.id: category.name for category in dataset.categories}
    results: dict[int, list[dict[str, Any]]] = {
        image.id: [
            _region(str(box.tool_id), names[box.category_id], box.xyxy)
            for box in dataset.boxes_by_image[image.id]
        ]
        for image in dataset.images
    }
    for one in mined:
        region = _region(one.region_id, names[one.category_id], one.xyxy)
        results[one.image_id].append({**region, "score": one.score})
    return list(results.values())


def _region(id: str, label: str, xyxy: tuple[float, float, float, float]) -> dict[str, Any]:
    left, top, right, bottom = xyxy
    value = {
        "x": left / WIDTH * 100,
        "y": top / HEIGHT * 100,
        "width": (right - left) / WIDTH * 100,
        "height": (bottom - top) / HEIGHT * 100,
        "rotation": 0,
        "rectanglelabels": [label],
    }
    return {
        "id": id,
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "origin": "prediction",
        "value": value,
    }


def _prediction(task: int, result: list[dict[str, Any]]) -> dict[str, Any]:
    return {"task": task, "result": result, "score": 0.5, "model_version": "calls alone"}


def _parts(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [items[start : start + PER_REQUEST] for start in range(0, len(items), PER_REQUEST)]
