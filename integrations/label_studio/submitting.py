"""Submitting reviews through the API, as the scripted reviewer of demos and simulations does."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsedet.annotations import Image
from sparsedet.errors import ToolError
from sparsedet.tool import ReviewedRegion

from .config import LabelConfig
from .connection import WRITE, Connection, project_number
from .geometry import GeometryError, to_percent
from .predictions import make_region
from .reading import read_config
from .regions import Oddities, Region, read_regions
from .review_tasks import (
    ReviewTask,
    StoredPrediction,
    read_review_tasks,
)


@dataclass(frozen=True, slots=True)
class OpenReview:
    """An image that waits for its review, with what the reviewer is shown."""

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    regions: tuple[ReviewedRegion, ...]
    """All boxes on offer."""
    scores: dict[str, float]
    """Region id -> score, of the mined boxes; people's own boxes are not in it."""
    task: ReviewTask
    prediction: StoredPrediction
    config: LabelConfig


def open_reviews(connection: Connection, review_project: str) -> list[OpenReview]:
    """Return the images of a review project that nobody has submitted, in the order of its tasks.

    What is offered is the prediction of the model version that the project shows.
    """
    number = project_number(review_project)
    config = read_config(connection, number)
    with connection.request(f"reading review project {number}"):
        version = connection.client.projects.get(number).model_version
    return [
        _open_review(task, prediction, config)
        for task in read_review_tasks(connection, number)
        if task.review is None
        for prediction in task.predictions
        if prediction.model_version == version
    ]


def submit_review(
    connection: Connection, review: OpenReview, regions: Sequence[ReviewedRegion], seconds: float
) -> None:
    """Submit a review as a person's Submit does: `regions` are the boxes that remain.

    Boxes that are left out count as rejected, changed ones as edited; ids of new boxes are free.

    Args:
        connection: its account is the reviewer.
        review: from `open_reviews`.
        regions: boxes in absolute pixels of the upright image.
        seconds: the time spent on the image.

    Raises:
        ToolError: when a box has no area, leaves the image, or has an unknown label.
    """
    offered = {str(region.get("id")): region for region in review.prediction.result}
    unchanged = {region.region_id: region for region in review.regions}
    image = _image(review)
    result = []
    for region in regions:
        before = offered.get(region.region_id)
        if before is not None and unchanged.get(region.region_id) == region:
            result.append(dict(before))
            continue
        try:
            place = to_percent(region.xyxy, image.width, image.height)
        except GeometryError as error:
            raise ToolError(f"reviewed box {region.region_id}: {error}") from error
        if region.category not in review.config.stored_labels:
            raise ToolError(f"reviewed box {region.region_id}: no label {region.category!r}")
        origin = "manual" if before is None else "prediction-changed"
        now = make_region(
            region.region_id, region.category, place, image, review.config, origin=origin
        )
        if before is not None and "score" in before:
            now["score"] = before["score"]
        result.append(now)
    with connection.request(f"submitting the review of task {review.task.id}"):
        connection.client.annotations.create(
            review.task.id,
            result=result,
            lead_time=seconds,
            parent_prediction=review.prediction.id,
            request_options=WRITE,
        )


def _open_review(task: ReviewTask, prediction: StoredPrediction, config: LabelConfig) -> OpenReview:
    names = {category.id: category.name for category in config.categories}
    regions = list(read_regions(prediction.result, config, task.id, Oddities()))
    return OpenReview(
        tool_id=task.source_task,
        regions=tuple(_reviewed(region, names[region.category_id]) for region in regions),
        scores={region.id or "": region.score for region in regions if region.score is not None},
        task=task,
        prediction=prediction,
        config=config,
    )


def _reviewed(region: Region, category: str) -> ReviewedRegion:
    return ReviewedRegion(region.id or "", category, region.xyxy)


def _image(review: OpenReview) -> Image:
    """Return the image by what its regions say of its size."""
    first = review.prediction.result[0]
    return Image(
        id=review.task.id,
        file_name="",
        width=int(first["original_width"]),
        height=int(first["original_height"]),
    )
