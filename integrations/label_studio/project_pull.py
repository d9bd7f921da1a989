"""`pull`: a project's annotations and images as a `Dataset`."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.entries import IMAGE_KEYS
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions
from sparsedet.wording import counted

from .annotation_choice import Alternatives, TaskBoxes, read_task
from .annotators import project_annotators
from .chosen_tasks import export_chosen
from .client.connection import Connection, project_number
from .images.addresses import image_address
from .images.cache import CachedImage
from .images.data_links import is_data_link
from .images.downloads import Downloads, bring_images
from .images.unreadable import Unreadable
from .labelling_config.label_config import LabelConfig
from .left_out import LeftOut, by_kind, listed
from .projects import OddTask, read_source_config
from .regions import Oddities
from .task_images import TaskImage, images_of

logger = logging.getLogger(__name__)


def pull_project(
    connection: Connection,
    project: str,
    images: Path,
    options: ToolOptions = DEFAULT_OPTIONS,
    progress: Progress = no_progress,
) -> Dataset:
    """Read a project through its JSON export and download its images into the folder `images`.

    `annotation_choice` decides which of several annotations of a task count; drafts are not read.
    Tasks without annotations become images without boxes. Regions that can't become boxes are
    dropped and counted in one warning; so are a model's boxes that somebody marked as unsure.
    Unreadable images (mostly because they are unavailable) are left out and counted, up to
    `options.skip_share`; see `Dataset.unread`. An image's id is that of its task, so that it stays
    the same when tasks come or go; see `TaskImage` for tasks with several images.

    Raises:
        ToolError: if most boxes have labels that the project lacks, too many images can't be read,
            or it is itself a review project; see also `Connection` and `parse_config`.
    """
    number = project_number(project)
    progress("reading annotations", 0, 1)
    config = read_source_config(connection, number, options)
    chosen = export_chosen(connection, number, options.choice)
    annotators = project_annotators(connection, options)
    progress("reading annotations", 1, 1)
    shown = [(task, image) for task in chosen.tasks for image in images_of(task, config)]
    several = len(shown) > len(chosen.tasks)
    total = len(shown) + len(chosen.odd)
    left_out = LeftOut(project, total, options.skip_share, several=several)
    left_out.add_odd(chosen.odd, {int(task["id"]) for task in (*chosen.tasks, *chosen.others)})
    addresses = _addresses(shown, config, left_out)
    downloads = bring_images(
        connection, addresses, images, options.images, progress, most_failures=left_out.most
    )
    for id, failure in downloads.failures.items():
        left_out.add(id, failure.kind, failure.reason)
    left_out.check()
    _warn_of_refreshed(project, downloads)
    oddities, alternatives = Oddities(), Alternatives(options.annotations)
    pulled_images: list[Image] = []
    boxes: list[Box] = []
    for task, image in shown:
        if image.id in left_out.images:
            continue
        own = config.of_image(image.number)
        # Percentages refer to the upright image, as shown by the browser.
        file = downloads.images[image.id]
        annotations = annotators.chosen(task.get("annotations") or [])
        read = read_task(annotations, own, options.annotations, image.task, oddities, file.size)
        if image.number == 0:
            alternatives.add(annotations, read)
        extra = _task_keys(task, config)
        pulled_images.append(_image(image, file, read, config.category_ids, extra))
        for region in read.boxes:
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=image.id,
                    category_id=config.category_ids[region.category],
                    xyxy=region.xyxy,
                    origin="human",
                    tool_id=region.region_id,
                )
            )
    _check_labels(project, oddities, read=len(boxes))
    oddities.warn(f"project {project}")
    alternatives.warn(f"project {project}")
    others = (image.tool_id for task in chosen.others for image in images_of(task, config))
    return Dataset(
        tuple(pulled_images),
        tuple(boxes),
        config.categories,
        unread=_unread(left_out, chosen.odd, config),
        left_out=frozenset(others),
        left_out_labels=config.left_out,
    )


def _addresses(
    shown: Sequence[tuple[Mapping[str, Any], TaskImage]], config: LabelConfig, left_out: LeftOut
) -> dict[int, str]:
    """Return the addresses of images by id; those that have none are noted in `left_out`."""
    addresses: dict[int, str] = {}
    for task, image in shown:
        try:
            addresses[image.id] = image_address(task, config.of_image(image.number))
        except Unreadable as error:
            left_out.add(image.id, error.kind, error.reason)
    return addresses


def _image(
    image: TaskImage,
    file: CachedImage,
    read: TaskBoxes,
    category_ids: Mapping[str, int],
    extra: Mapping[str, Any],
) -> Image:
    width, height = file.size
    return Image(
        id=image.id,
        file_name=file.name,
        width=width,
        height=height,
        exhaustive=read.complete,
        tool_id=image.tool_id,
        tool_version=read.version,
        extra=extra,
        complete_classes=frozenset(category_ids[name] for name in read.complete_classes),
    )


def _unread(left_out: LeftOut, odd: Sequence[OddTask], config: LabelConfig) -> frozenset[str]:
    """Return the tool ids of images that were left out; for an odd task, of all its images."""
    data = {entry.id: entry.data for entry in odd}
    return frozenset(
        image.tool_id
        for id in left_out.images
        for image in (
            images_of({"id": id, "data": data[id]}, config) if id in data else [TaskImage.of_id(id)]
        )
    )


def _warn_of_refreshed(project: str, downloads: Downloads) -> None:
    """Warn about changed images, and those that could not be refreshed."""
    if downloads.changed:
        logger.warning(
            "project %s: %s changed since they were pulled (%s); do their boxes still fit?",
            project,
            counted(len(downloads.changed), "image has", "images have"),
            listed(downloads.changed),
        )
    if kept := downloads.kept:
        first = min(kept, key=TaskImage.of_id)
        logger.warning(
            "project %s: %s not refreshed, being currently unavailable: %s; the first, task %d: %s",
            project,
            counted(len(kept), "image was", "images were"),
            by_kind({id: error.kind for id, error in kept.items()}),
            TaskImage.of_id(first).task,
            kept[first],
        )


def _check_labels(project: str, oddities: Oddities, read: int) -> None:
    """Refuse a project if most of its boxes can't be read because labels were renamed."""
    unknown = oddities.unknown_labels
    if unknown.total() <= read:
        return
    labels = ", ".join(f"{label} ({count})" for label, count in unknown.most_common())
    rename = ", ".join(f'"{label}" = "..."' for label in unknown)
    raise ToolError(
        f"project {project}: {unknown.total()} of {unknown.total() + read} boxes have labels that "
        f"its labelling config does not have: {labels}; map them to their new names in "
        f'sparsedet.toml, [labels] rename = {{{rename}}} ("" leaves a label out)'
    )


def _task_keys(task: Mapping[str, Any], config: LabelConfig) -> dict[str, Any]:
    """Return other data of a task's image, such as its patient or video.

    Addresses are left out: a signed one is a key to somebody's storage.
    """
    return {
        key: value
        for key, value in task["data"].items()
        if isinstance(value, str | int | float)
        and key not in IMAGE_KEYS
        and not any(key in tag.path.keys for tag in config.images)
        and "://" not in (text := str(value))
        and not is_data_link(text)
    }
