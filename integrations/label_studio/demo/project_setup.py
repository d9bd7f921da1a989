"""Projects for demos and tests, created from a dataset with its images uploaded."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from sparsedet.annotations import Dataset, Image
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, no_progress

from .. import project_records
from ..client.connection import Connection
from ..geometry import to_percent
from ..labelling_config.label_config import COMPLETE_CONTROL, LabelConfig, parse_config
from ..predictions import make_region
from ..uploads import upload_files

COMPLETE_CHOICE = "Every object has a box"

_COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#e377c2", "#bcbd22")
"""Distinguishable on most images; reused if a project has more labels."""


def set_up_project(
    connection: Connection,
    title: str,
    dataset: Dataset,
    images: Path,
    *,
    progress: Progress = no_progress,
) -> str:
    """Create a project with the images of `dataset`, uploaded, and its boxes as annotations.

    Every image becomes a task with one annotation, in the order of the dataset; an image without
    boxes becomes a task without annotation. Box tool ids become region ids.

    Args:
        connection: its account becomes the annotator.
        title: 3 to 50 characters.
        dataset: the initial annotations.
        images: the folder of its images.
        progress: called after every batch of uploads.

    Returns:
        The project's number.
    """
    xml = labelling_config([category.name for category in dataset.categories])
    project = create_project(connection, title, xml)
    config = parse_config(xml, str(project))
    files = [images / image.file_name for image in dataset.images]
    addresses = upload_files(connection, project, files, "uploading images", progress)
    tasks = [
        _task(image, address, dataset, config)
        for image, address in zip(dataset.images, addresses, strict=True)
    ]
    import_tasks(connection, project, tasks)
    return str(project)


def create_project(connection: Connection, title: str, label_config: str) -> int:
    """Create an empty project with this labelling config; return its number."""
    content = {"title": title, "label_config": label_config}
    return project_records.create_project(connection, content, f"creating the project {title!r}")


def labelling_config(labels: Sequence[str]) -> str:
    """Return a labelling config with rectangles of these labels, and `sparsedet_complete`."""
    lines = "\n".join(
        f"    <Label value={quoteattr(label)} background={quoteattr(color)}/>"
        for label, color in zip(labels, cycle(_COLORS), strict=False)
    )
    return f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="label" toName="image" strokeWidth="3" opacity="0.15">
{lines}
  </RectangleLabels>
  <Choices name="{COMPLETE_CONTROL}" toName="image" choice="multiple">
    <Choice value="{COMPLETE_CHOICE}"/>
  </Choices>
</View>"""


def import_tasks(
    connection: Connection, project: int, tasks: Sequence[Mapping[str, Any]]
) -> list[int]:
    """Create tasks (`data` and `annotations` in Label Studio's format); return their ids."""
    answer = connection.post_json(
        f"api/projects/{project}/import?return_task_ids=true",
        list(tasks),
        f"creating tasks in project {project}",
    )
    ids = answer.get("task_ids")
    if not isinstance(ids, list) or len(ids) != len(tasks):
        taken = len(ids) if isinstance(ids, list) else "none"
        raise ToolError(
            f"project {project}: the server accepted only {taken} of {len(tasks)} tasks"
        )
    return ids


def _task(image: Image, address: str, dataset: Dataset, config: LabelConfig) -> Mapping[str, Any]:
    regions = [
        make_region(
            box.tool_id or f"box{box.id}",
            dataset.category_by_id[box.category_id].name,
            to_percent(box.xyxy, image.width, image.height),
            image,
            config,
            origin="manual",
        )
        for box in dataset.boxes_by_image[image.id]
    ]
    data = {config.data_key: address}
    return {"data": data, "annotations": [{"result": regions}]} if regions else {"data": data}
