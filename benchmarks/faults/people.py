"""People's actions on the server: a small project with boxes, reviews, and untimely saves.

Everything goes directly to the server, over plain HTTP, and is drawn from a seed: two projects of
the same seed have the same boxes under the same region ids, and get the same reviews.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from sparsedet.annotations.mined_boxes import MinedBox

from .proxy import Request

LABELS = ("cat", "dog")
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image">
    <Label value="cat"/>
    <Label value="dog"/>
  </RectangleLabels>
</View>"""

IMAGES = 10
UNANNOTATED = (3, 7)
"""Number of images without boxes by people."""
WIDTH, HEIGHT = 160, 120
THEIRS = "another model"
"""The model version of a prediction that is not ours."""

_CELL = 40
_PER_ROW = WIDTH // _CELL
_SEVERAL = 3
"""Every n-th image has three mined boxes, the others two."""
_DRAWN, _SAVED = 5, 6
"""Cells for boxes drawn by a reviewer and a person."""

Region = Mapping[str, Any]


class Server:
    """The server's API, without using sparsedet."""

    def __init__(self, url: str, api_key: str) -> None:
        self._headers = {"Authorization": f"Token {api_key}"}
        self.connect(url)

    def connect(self, url: str) -> None:
        """Use the server's address after a restart."""
        self._client = httpx.Client(base_url=url, headers=self._headers, timeout=120.0)

    def get(self, path: str, **params: Any) -> Any:
        """GET JSON."""
        return self._json(self._client.get(path, params=params))

    def post(self, path: str, body: Any, **params: Any) -> Any:
        """POST JSON."""
        return self._json(self._client.post(path, json=body, params=params))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH JSON."""
        return self._json(self._client.patch(path, json=body))

    def upload(self, project: int, files: Sequence[Path]) -> list[str]:
        """Upload image files; return their addresses."""
        form = {file.name: (file.name, file.read_bytes(), "image/png") for file in files}
        path = f"/api/projects/{project}/import"
        answer = self._client.post(path, params={"commit_to_project": False}, files=form)
        ids = self._json(answer)["file_upload_ids"]
        listed = self.get(f"/api/projects/{project}/file-uploads", all=True)
        names = {entry["id"]: entry["file"] for entry in listed}
        return [f"/data/{names[id]}" for id in ids]

    def _json(self, response: httpx.Response) -> Any:
        response.raise_for_status()
        return response.json()


@dataclass(frozen=True)
class Boxes:
    """All boxes of a project, by image number."""

    human: Mapping[int, Sequence[Region]]
    mined: Mapping[int, Sequence[Region]]

    @classmethod
    def draw(cls, seed: int) -> "Boxes":
        """Draw two human boxes on each annotated image, and two or three mined ones on each."""
        rng = np.random.default_rng(seed)
        human: dict[int, Sequence[Region]] = {}
        mined: dict[int, Sequence[Region]] = {}
        for image in range(IMAGES):
            drawn = (
                [] if image in UNANNOTATED else [_region(f"h{image}-{n}", n, rng) for n in (0, 1)]
            )
            human[image] = drawn
            count = 3 if image % _SEVERAL == 0 else 2
            # Images are reviewed in this order: the most certain first.
            mined[image] = [
                {
                    **_region(f"m{image}-{n}", 2 + n, rng),
                    "score": round(0.95 - 0.05 * image - 0.01 * n, 2),
                }
                for n in range(count)
            ]
        return cls(human, mined)


@dataclass
class Project:
    """An annotated project on the server."""

    number: int
    tasks: Sequence[int]
    """By image number."""
    boxes: Boxes
    saved: dict[int, Region]
    """Task -> the box that a person saved there during a fault."""

    def image_of(self, task: int) -> int:
        """Return the image number of a task."""
        return self.tasks.index(task)

    def mined(self, images: Sequence[int] = range(IMAGES), per_image: int = 9) -> list[MinedBox]:
        """Return the mined boxes as `sparsedet mine` would have found them after a pull."""
        return [
            MinedBox(
                region_id=region["id"],
                image_id=self.tasks[image],
                category_id=1 + LABELS.index(region["value"]["rectanglelabels"][0]),
                xyxy=_pixels(region),
                score=region["score"],
                threshold=0.3,
            )
            for image in images
            for region in self.boxes.mined[image][:per_image]
        ]


def write_images(folder: Path, seed: int) -> list[Path]:
    """Write the images of a project."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"image{number}.png" for number in range(IMAGES)]
    for file in files:
        cv2.imwrite(str(file), rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    return files


def make_project(server: Server, title: str, files: Sequence[Path], seed: int) -> Project:
    """Create an annotated project."""
    boxes = Boxes.draw(seed)
    number = server.post("/api/projects/", {"title": title, "label_config": CONFIG})["id"]
    entries = []
    for image, address in enumerate(server.upload(number, files)):
        entry: dict[str, Any] = {"data": {"image": address}}
        if boxes.human[image]:
            annotation = {"result": boxes.human[image], "lead_time": 5.0, "ground_truth": False}
            entry["annotations"] = [annotation]
        entries.append(entry)
    answer = server.post(f"/api/projects/{number}/import", entries, return_task_ids=True)
    return Project(number, answer["task_ids"], boxes, {})


def review(server: Server, project: Project, tasks: Mapping[int, Any], images: int) -> None:
    """Submit reviews of the first `images` images.

    Args:
        server: the server.
        project: the annotated one.
        tasks: image number -> (id of the review task, its prediction as in the API).
        images: number of images.
    """
    for image in range(images):
        task, prediction = tasks[image]
        result = _reviewed(image, prediction["result"])
        body = {"result": result, "lead_time": 5.0, "parent_prediction": prediction["id"]}
        server.post(f"/api/tasks/{task}/annotations/", body)


def save(server: Server, project: Project, request: Request) -> None:
    """Have a person save a new box on the task that a request is about to write to."""
    annotation = re.search(r"/annotations/(\d+)", request.path)
    of_task = re.search(r"/tasks/(\d+)/", request.path)
    if annotation:
        path = f"/api/annotations/{annotation[1]}/"
        known = server.get(path)
        task, box = int(known["task"]), _saved_box(project, int(known["task"]))
        # The editor adds the time spent.
        seconds = (known["lead_time"] or 0.0) + 8.0
        server.patch(path, {"result": [*known["result"], box], "lead_time": seconds})
    elif of_task:
        task = int(of_task[1])
        box = _saved_box(project, task)
        server.post(f"/api/tasks/{task}/annotations/", {"result": [box], "lead_time": 8.0})
    else:
        raise ValueError(f"{request.method} {request.path}: no annotation that a person could save")
    project.saved[task] = box


def add_things_of_their_own(server: Server, project: Project, review_project: int | None) -> None:
    """Add what an undo must not remove: a prediction and views that are not ours."""
    prediction = {
        "task": project.tasks[0],
        "model_version": THEIRS,
        "score": 0.5,
        "result": [{**project.boxes.human[0][0], "id": "theirs"}],
    }
    server.post("/api/predictions/", prediction)
    for number in {project.number, review_project or project.number}:
        view = {"title": "My own", "type": "list", "target": "tasks"}
        server.post("/api/dm/views/", {"project": number, "data": view})


def touch_draft(server: Server, draft: Mapping[str, Any]) -> None:
    """Delete the last box of a draft; the editor drops unknown keys of the others."""
    known = {"id", "from_name", "to_name", "type", "value", "origin", "score"}
    known |= {"original_width", "original_height", "image_rotation"}
    kept = [{k: v for k, v in region.items() if k in known} for region in draft["result"][:-1]]
    server.patch(f"/api/drafts/{draft['id']}/", {"result": kept})


def _saved_box(project: Project, task: int) -> Region:
    return _region(f"p{project.image_of(task)}", _SAVED, np.random.default_rng(task))


def _reviewed(image: int, offered: Sequence[Region]) -> list[Region]:
    """Return an image's boxes after a review, which depends only on the image's number."""
    kept: list[Region] = []
    for region in offered:
        kind, _, number = region["id"].partition("-")
        is_mined = kind.startswith("m")
        verdict = (image + int(number)) % 4 if is_mined else 0
        if (is_mined and (verdict == 2 or image == IMAGES - 1)) or region["id"] == "h1-1":
            continue  # deleted
        moved = verdict == 1 or region["id"] == "h2-0"
        kept.append(_moved(region) if moved else region)
    if image == 4:
        kept.append(_region(f"d{image}", _DRAWN, np.random.default_rng(image)))
    return kept


def _moved(region: Region) -> Region:
    value = {**region["value"], "x": region["value"]["x"] + 4.0}
    origin = "manual" if region["origin"] == "manual" else "prediction-changed"
    return {**region, "origin": origin, "value": value}


def _region(id: str, cell: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return a box of at most 28 pixels, somewhere in a cell of the image."""
    left, top = (cell % _PER_ROW) * _CELL, (cell // _PER_ROW) * _CELL
    x, y = left + rng.uniform(1, 4), top + rng.uniform(1, 4)
    width, height = rng.uniform(16, 28), rng.uniform(16, 28)
    return {
        "id": id,
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "origin": "prediction" if id.startswith("m") else "manual",
        "value": {
            "x": x / WIDTH * 100,
            "y": y / HEIGHT * 100,
            "width": width / WIDTH * 100,
            "height": height / HEIGHT * 100,
            "rotation": 0,
            "rectanglelabels": [LABELS[int(rng.integers(len(LABELS)))]],
        },
    }


def _pixels(region: Region) -> tuple[float, float, float, float]:
    value = region["value"]
    left, top = value["x"] * WIDTH / 100, value["y"] * HEIGHT / 100
    right, bottom = left + value["width"] * WIDTH / 100, top + value["height"] * HEIGHT / 100
    return left, top, right, bottom
