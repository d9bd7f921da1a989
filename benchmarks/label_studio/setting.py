"""A large project on a local server: images as local files, tasks imported in bulk."""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.project_setup import create_project, labelling_config
from sparsedet.push_modes import Progress

LABELS = ("apple", "orange", "parcel", "crate", "can")
WIDTH, HEIGHT = 320, 240
"""Image size in pixels: small, since the figures are about everything but pixels."""
PICTURES = 200
"""Number of different pictures; each file also contains its number, so that all differ."""
_TASKS_PER_IMPORT = 5000


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the project."""

    tasks: int
    boxes: int
    """Total over all tasks, evenly distributed except for the last ones."""

    def boxes_on(self, index: int) -> int:
        """Return the number of boxes on a task."""
        return self.boxes // self.tasks + (index < self.boxes % self.tasks)


def set_up(connection: Connection, folder: Path, size: Size, progress: Progress) -> int:
    """Return the number of the project of this size, creating it if necessary.

    Args:
        connection: to a server that may serve files below `folder / "documents"`.
        folder: records the projects.
        size: of the project.
        progress: called while the project is created.
    """
    known = folder / "projects.json"
    projects: dict[str, int] = read_json(known) if known.exists() else {}
    name = f"{size.tasks} tasks, {size.boxes} boxes"
    if name not in projects:
        files = write_images(folder / "documents" / "images", size.tasks, progress)
        projects[name] = _make_project(connection, files, size, progress)
        write_json(known, projects)
    return projects[name]


def write_images(folder: Path, count: int, progress: Progress) -> list[Path]:
    """Write missing small JPEG files, no two alike; return all."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(_pictures()) if len(list(folder.iterdir())) < count else []
    files = [folder / f"{number:06}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            progress("writing images", number, count)
            file.write_bytes(numbered(pictures[number % PICTURES], number))
    return files


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG file with its number as a comment, which viewers ignore."""
    comment = f"{number:06}".encode()
    start, rest = jpeg[:2], jpeg[2:]
    return start + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + rest


def source_task(index: int, size: Size) -> dict[str, Any]:
    """Return a task with its annotation, in the server's import format."""
    draw = random.Random(index)
    regions = [_region(f"{index}-{box}", draw) for box in range(size.boxes_on(index))]
    data = {"image": f"/data/local-files/?d=images/{index:06}.jpg", "camera": f"c{index % 7}"}
    return {"data": data, "annotations": [{"result": regions}]}


def change_annotations(connection: Connection, project: int, count: int) -> None:
    """Update the annotations of `count` tasks, spread over the project, one by one."""
    tasks = connection.get_json(
        "api/tasks/",
        {"project": project, "page_size": 1_000_000, "fields": "task_only", "include": "id"},
        "listing tasks",
    )["tasks"]
    for task in tasks[:: max(len(tasks) // count, 1)][:count]:
        path = f"api/tasks/{task['id']}/annotations/"
        for annotation in connection.get_json(path, {}, "reading annotations"):
            result = annotation["result"]
            for region in result:
                region["value"]["x"] = round(random.random() * 40, 4)
            connection.patch_json(
                f"api/annotations/{annotation['id']}/", {"result": result}, "changing annotations"
            )


def _make_project(
    connection: Connection, files: Sequence[Path], size: Size, progress: Progress
) -> int:
    project: int = create_project(connection, f"{size.tasks} tasks", labelling_config(LABELS))
    # Without a storage that covers it, the server serves no file of the folder.
    connection.post_json(
        "api/storages/localfiles/",
        {"project": project, "path": str(files[0].parent.resolve()), "use_blob_urls": True},
        "naming the folder of images",
    )
    for start in range(0, size.tasks, _TASKS_PER_IMPORT):
        progress("making the project", start, size.tasks)
        tasks = [
            source_task(index, size)
            for index in range(start, min(start + _TASKS_PER_IMPORT, size.tasks))
        ]
        answer = connection.post_json(f"api/projects/{project}/import", tasks, "importing tasks")
        if answer["task_count"] != len(tasks):
            raise ToolError(f"the server took {answer['task_count']} of {len(tasks)} tasks")
    return project


def _region(id: str, draw: random.Random) -> dict[str, Any]:
    value = {
        "x": round(draw.uniform(0, 70), 4),
        "y": round(draw.uniform(0, 70), 4),
        "width": round(draw.uniform(5, 30), 4),
        "height": round(draw.uniform(5, 30), 4),
        "rotation": 0,
        "rectanglelabels": [draw.choice(LABELS)],
    }
    return {
        "id": id,
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
    }


def _pictures() -> Iterator[bytes]:
    """Yield JPEG files of coarse noise, about 8 kB each."""
    import PIL.Image

    generator = np.random.default_rng(1)
    for _ in range(PICTURES):
        coarse = generator.integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(coarse).resize((WIDTH, HEIGHT))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
        yield file.getvalue()
