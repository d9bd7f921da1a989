"""`pull`: a project's annotations and images as a `Dataset`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.entries import IMAGE_KEYS
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions

from .annotation_choice import Alternatives, read_task
from .connection import Connection, project_number
from .images.addresses import image_address
from .images.data_links import is_data_link
from .images.downloads import Downloads, bring_images
from .images.unreadable import Unreadable
from .label_config import LabelConfig
from .left_out import LeftOut, by_kind, listed
from .projects import OddTask, export_tasks, read_source_config
from .regions import Oddities

logger = logging.getLogger(__name__)


def pull_project(
    connection: Connection,
    project: str,
    images: Path,
    options: ToolOptions = DEFAULT_OPTIONS,
    progress: Progress = no_progress,
) -> Dataset:
    """Read a project through its JSON export and download its images into the folder `images`.

    `annotation_choice` says which of several annotations of a task count; drafts are not read.
    Tasks without one stay as images without boxes. What the server holds but no box can be made of
    is dropped, and counted in one warning; so are boxes of a model that somebody marked as unsure.
    Tasks that can't be read, most often because their image can't be had, are left out and counted,
    within `options.skip_share`; see `Dataset.unread`. An image's id is that of its task, so that it
    stays the same when tasks come or go.

    Raises:
        ToolError: when most boxes have labels that the project does not have, too many tasks can't
            be read, or it is itself a review project; see also `Connection` and `parse_config`.
    """
    number = project_number(project)
    progress("reading annotations", 0, 1)
    config = read_source_config(connection, number, options)
    odd: list[OddTask] = []
    tasks = sorted(export_tasks(connection, number, odd), key=lambda task: int(task["id"]))
    progress("reading annotations", 1, 1)
    left_out = LeftOut(project, len(tasks) + len(odd), options.skip_share)
    left_out.add_odd(odd, {int(task["id"]) for task in tasks})
    addresses: dict[int, str] = {}
    for task in tasks:
        try:
            addresses[int(task["id"])] = image_address(task, config)
        except Unreadable as error:
            left_out.add(int(task["id"]), error.kind, error.reason)
    downloads = bring_images(
        connection,
        addresses,
        images,
        options.images,
        progress,
        most_failures=left_out.most,
    )
    for id, failure in downloads.failures.items():
        left_out.add(id, failure.kind, failure.reason)
    left_out.check()
    _warn_of_refreshed(project, downloads)
    oddities, alternatives = Oddities(), Alternatives(options.annotations)
    pulled_images: list[Image] = []
    boxes: list[Box] = []
    for task in tasks:
        id = int(task["id"])
        if id in left_out.tasks:
            continue
        # Percentages refer to the image as the browser shows it: upright, as in the file.
        image = downloads.images[id]
        size = image.size
        annotations = task.get("annotations") or []
        read = read_task(annotations, config, options.annotations, id, oddities, size)
        alternatives.add(annotations, read)
        pulled_images.append(
            Image(
                id=id,
                file_name=image.name,
                width=size[0],
                height=size[1],
                exhaustive=read.complete,
                tool_id=str(id),
                tool_version=read.version,
                extra=_task_keys(task, config),
                complete_classes=frozenset(
                    config.category_ids[name] for name in read.complete_classes
                ),
            )
        )
        for region in read.boxes:
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=id,
                    category_id=config.category_ids[region.category],
                    xyxy=region.xyxy,
                    origin="human",
                    tool_id=region.region_id,
                )
            )
    _check_labels(project, oddities, read=len(boxes))
    oddities.warn(f"project {project}")
    alternatives.warn(f"project {project}")
    return Dataset(
        tuple(pulled_images),
        tuple(boxes),
        config.categories,
        unread=frozenset(map(str, left_out.tasks)),
    )


def _warn_of_refreshed(project: str, downloads: Downloads) -> None:
    """Warn of images that have changed, and of those that could not be refreshed."""
    if downloads.changed:
        logger.warning(
            "project %s: %d images have changed since they were pulled (%s); do their boxes still "
            "fit?",
            project,
            len(downloads.changed),
            listed(downloads.changed),
        )
    if kept := downloads.kept:
        first = min(kept)
        logger.warning(
            "project %s: %d images stay as they were pulled before, since they can't be had now: "
            "%s; the first, task %d: %s",
            project,
            len(kept),
            by_kind({task: error.kind for task, error in kept.items()}),
            first,
            kept[first],
        )


def _check_labels(project: str, oddities: Oddities, read: int) -> None:
    """Refuse a project most of whose boxes can't be read, because labels were renamed."""
    unknown = oddities.unknown_labels
    if unknown.total() <= read:
        return
    labels = ", ".join(f"{label} ({count})" for label, count in unknown.most_common())
    rename = ", ".join(f'"{label}" = "..."' for label in unknown)
    raise ToolError(
        f"project {project}: {unknown.total()} of {unknown.total() + read} boxes have labels that "
        f"its labelling config does not have: {labels}; say what they are called now in "
        f'sparsedet.toml, [labels] rename = {{{rename}}} ("" leaves a label out)'
    )


def _task_keys(task: Mapping[str, Any], config: LabelConfig) -> dict[str, Any]:
    """Return what else is known of a task's image, such as its patient or video.

    Addresses stay behind: a signed one is a key to somebody's storage.
    """
    return {
        key: value
        for key, value in task["data"].items()
        if isinstance(value, str | int | float)
        and key not in (config.data_key, *IMAGE_KEYS)
        and "://" not in (text := str(value))
        and not is_data_link(text)
    }
