"""`pull`: a project's annotations and images as a `Dataset`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset, Image, upright_size
from sparsedet.annotations.entries import IMAGE_KEYS
from sparsedet.errors import ToolError
from sparsedet.tool import Progress, ProjectSummary, no_progress

from .config import LabelConfig, parse_config
from .connection import Connection, project_number
from .images import download_images
from .regions import Oddities, annotation_version, is_complete, newest, read_regions

logger = logging.getLogger(__name__)

_PAGE = 5000


def pull_project(
    connection: Connection,
    project: str,
    images: Path,
    progress: Progress = no_progress,
    *,
    complete_control: str | None = None,
) -> Dataset:
    """Read a project through its JSON export and download its images into the folder `images`.

    Of several annotations of a task the newest that was not skipped counts; drafts are not read.
    Tasks without one stay as images without boxes. What the server holds but no box can be made of
    is dropped, and counted in one warning; so are boxes of a model that somebody marked as unsure.
    An image's id is that of its task, so that it stays the same when tasks come or go.

    Raises:
        ToolError: see `Connection`, `parse_config` and `download_images`.
    """
    number = project_number(project)
    progress("reading annotations", 0, 1)
    config = read_config(connection, number, complete_control)
    tasks = sorted(export_tasks(connection, number), key=lambda task: int(task["id"]))
    progress("reading annotations", 1, 1)
    addresses = {int(task["id"]): _image_address(task, config) for task in tasks}
    names = download_images(connection, addresses, images, progress)
    oddities = Oddities()
    pulled_images: list[Image] = []
    boxes: list[Box] = []
    for task in tasks:
        id = int(task["id"])
        width, height = upright_size(images / names[id])
        annotation = newest(task.get("annotations") or [])
        results = annotation.get("result", []) if annotation else []
        pulled_images.append(
            Image(
                id=id,
                file_name=names[id],
                width=width,
                height=height,
                exhaustive=is_complete(results, config),
                tool_id=str(id),
                tool_version=annotation_version(annotation) if annotation else None,
                extra=_task_keys(task, config),
            )
        )
        # Percentages refer to the image as the browser shows it: upright, as in the file.
        for region in read_regions(results, config, id, oddities, (width, height)):
            if region.unsure and region.predicted:
                oddities.drop("marked unsure", id)
                continue
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=id,
                    category_id=region.category_id,
                    xyxy=region.xyxy,
                    origin="human",
                    tool_id=region.id,
                )
            )
    if oddities:
        logger.warning("project %s: regions not used as they stand: %s", project, oddities)
    return Dataset(tuple(pulled_images), tuple(boxes), config.categories)


def project_summary(
    connection: Connection, project: str, *, complete_control: str | None = None
) -> ProjectSummary:
    """Look at a project without reading its tasks.

    Raises:
        ToolError: see `Connection` and `parse_config`.
    """
    number = project_number(project)
    with connection.request(f"reading project {number}"):
        found = connection.client.projects.get(number)
    config = parse_config(found.label_config or "", str(number), complete_control=complete_control)
    return ProjectSummary(
        title=found.title or "",
        images=found.task_number or 0,
        labels=tuple(label.value for label in config.labels),
        has_complete_control=config.complete is not None,
    )


def read_config(
    connection: Connection, project: int, complete_control: str | None = None
) -> LabelConfig:
    """Read a project's labelling config; see `parse_config`."""
    with connection.request(f"reading project {project}"):
        xml = connection.client.projects.get(project).label_config
    return parse_config(xml or "", str(project), complete_control=complete_control)


def export_tasks(connection: Connection, project: int) -> Sequence[Mapping[str, Any]]:
    """Return all tasks with their annotations: the JSON export, the fastest complete read.

    The COCO export would leak server paths and ignore EXIF orientation.
    """
    tasks = connection.get_json(
        f"api/projects/{project}/export",
        {"exportType": "JSON", "download_all_tasks": True},
        f"exporting project {project}",
    )
    if not isinstance(tasks, list):
        raise ToolError(f"project {project}: the server's export is no list of tasks")
    return tasks


def task_data(connection: Connection, project: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield id and data of all tasks, without annotations (about 3,000 tasks per second)."""
    page, done, total = 0, 0, 1
    while done < total:
        page += 1
        params = {
            "project": project,
            "fields": "task_only",
            "include": "id,data",
            "resolve_uri": False,  # addresses as they are, not links that expire
            "page": page,
            "page_size": _PAGE,
        }
        answer = connection.get_json("api/tasks/", params, f"listing project {project}")
        total = answer["total"]
        # An empty page would mean that tasks are being deleted while we read.
        if not answer["tasks"]:
            return
        for task in answer["tasks"]:
            yield int(task["id"]), task["data"]
        done += len(answer["tasks"])


def _image_address(task: Mapping[str, Any], config: LabelConfig) -> str:
    address = task["data"].get(config.data_key)
    if not isinstance(address, str) or not address:
        raise ToolError(
            f"task {task['id']}: its data has no image under {config.data_key!r} (found "
            f"{type(address).__name__}); the labelling config takes the image from there"
        )
    return address


def _task_keys(task: Mapping[str, Any], config: LabelConfig) -> dict[str, Any]:
    """Return what else is known of a task's image, such as its patient or video.

    Addresses stay behind: a signed one is a key to somebody's storage.
    """
    return {
        key: value
        for key, value in task["data"].items()
        if isinstance(value, str | int | float)
        and key not in (config.data_key, *IMAGE_KEYS)
        and "://" not in str(value)
    }
