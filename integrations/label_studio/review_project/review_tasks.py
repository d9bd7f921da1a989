"""The tasks of a review project, and their reviews."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparsedet.errors import PlaceGoneError, ToolError
from sparsedet.push_modes import PlaceReviews, Progress, PushedImage, no_progress
from sparsedet.reviews import Review, ReviewedRegion, review_seconds
from sparsedet.tool import DEFAULT_OPTIONS, EVERYTHING, ToolOptions

from ..annotation_choice import results_of, saved_at
from ..class_marks import complete_classes
from ..client.connection import Connection, project_number
from ..client.request_errors import RequestFailedError, RequestRefusedError
from ..labelling_config.label_config import LabelConfig, parse_config
from ..marks import read_mark
from ..predictions import StoredPrediction, read_predictions
from ..project_records import ProjectRecord, list_projects, read_project
from ..projects import account_names, export_touched, read_config, saved_by, task_data
from ..regions import Oddities, is_complete, read_regions, reviewed_region
from ..results import is_rectangle, result_ids, stored_id
from ..started_from import started_from
from ..suspicion_notes import without_suspicion

SOURCE_TASK_KEY = "sparsedet_source_task"
"""Key in a review task's data: the id of the annotated task that it copies."""
VERSION_KEY = "sparsedet_model_version"
"""Key in the data of a review task without mined boxes and annotations, and so without a
prediction: its model version."""


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A task of a review project."""

    id: int
    source_task: str
    """The annotated image that it copies: the task's id, followed by the image's index if the task
    has several."""
    predictions: tuple[StoredPrediction, ...]
    """Oldest first."""
    annotations: tuple[Mapping[str, Any], ...]
    """All reviews, including skipped ones."""
    drafts: tuple[Mapping[str, Any], ...]
    """Reviews that somebody has started, but not submitted."""
    data: Mapping[str, Any]
    """Its image, and other data of the annotated task."""

    @property
    def reviews(self) -> tuple[Mapping[str, Any], ...]:
        """Its submitted reviews, without skipped ones."""
        return tuple(a for a in self.annotations if not a.get("was_cancelled"))

    @property
    def is_open(self) -> bool:
        """Whether it has no submitted review."""
        return not self.reviews

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has reviewed, skipped or started it."""
        return not self.annotations and not self.drafts

    @property
    def own_predictions(self) -> list[StoredPrediction]:
        """Its predictions that pushes created."""
        return [p for p in self.predictions if not p.by_backend]

    @property
    def mined_ids(self) -> frozenset[str]:
        """Ids of the mined boxes that are up on it."""
        return frozenset(id for p in self.own_predictions for id in p.mined_ids)

    @property
    def model_versions(self) -> frozenset[str]:
        """Model versions under which it is or was up for review."""
        versions = {p.model_version for p in self.own_predictions}
        noted = self.data.get(VERSION_KEY)
        return frozenset(versions or ({str(noted)} if noted else ()))

    def prediction_of(self, review: Mapping[str, Any]) -> StoredPrediction | None:
        """Return the prediction that a review started from; None if it is gone."""
        return started_from(review, self.annotations, self.predictions)

    @property
    def shown_ids(self) -> frozenset[str]:
        """Ids of the regions that its submitted reviews have judged.

        A review drawn from scratch, without the prediction, has judged only the boxes in it.
        """
        shown: set[str] = set()
        for review in self.reviews:
            shown |= {id for id in map(stored_id, results_of(review)) if id is not None}
            if started_from := self.prediction_of(review):
                shown |= started_from.region_ids
        return frozenset(shown)


def read_review_tasks(connection: Connection, review: int) -> list[ReviewTask]:
    """Return all tasks of a review project in the order of their ids.

    Tasks that people added themselves are left out.

    Raises:
        PlaceGoneError: if the project was deleted.
    """
    try:
        predictions = read_predictions(connection, review)
        tasks = dict(task_data(connection, review))
        # An export of all tasks takes three times as long, and most are not reviewed yet.
        touched = export_touched(connection, review)
    except ToolError:
        # For a deleted project, the server answers 400 here and 404 there.
        read_review_project(connection, review)
        raise
    return [
        ReviewTask(
            id=id,
            source_task=str(data[SOURCE_TASK_KEY]),
            predictions=tuple(predictions.get(id, ())),
            annotations=tuple(done.get("annotations") or ()),
            drafts=tuple(done.get("drafts") or ()),
            data=data,
        )
        for id, data in sorted(tasks.items())
        for done in (touched.get(id, {}),)
        if SOURCE_TASK_KEY in data
    ]


def change_data(connection: Connection, task: int, data: Mapping[str, Any], what: str) -> None:
    """Replace the data of a review task, unless somebody has deleted it since it was read."""
    try:
        connection.patch_json(f"api/tasks/{task}/", {"data": dict(data)}, what)
    except RequestRefusedError as error:
        if not error.is_not_found:
            raise


def read_reviews(
    connection: Connection,
    review_project: str,
    pushed: Sequence[PushedImage],
    options: ToolOptions = DEFAULT_OPTIONS,
    progress: Progress = no_progress,
) -> PlaceReviews:
    """Read every review of a review project, including skipped ones, in the order of its tasks.

    Regions that can't be read as boxes (such as a polygon) are left out and counted in one warning;
    a mined box that became unreadable (for example by a second label) is not judged.

    Args:
        connection: to the server.
        review_project: its number.
        pushed: for the images' sizes, and mined boxes whose prediction is gone.
        options: how labels and the mark of a complete image are read.
        progress: called while reading.

    Raises:
        PlaceGoneError: if the project was deleted.
        ToolError: see `Connection` and `parse_config`.
    """
    number = project_number(review_project)
    progress("reading reviews", 0, 1)
    config = review_config(connection, number, options)
    tasks = read_review_tasks(connection, number)
    reviews = reviews_of_tasks(connection, number, tasks, config, pushed)
    progress("reading reviews", 1, 1)
    reviewed = {review.tool_id for review in reviews}
    waiting = frozenset(task.source_task for task in tasks) - reviewed
    return PlaceReviews(
        reviews,
        waiting,
        frozenset(str(task.id) for task in tasks),
        # If an image has several tasks, the newest one counts.
        {task.source_task: str(task.id) for task in tasks},
    )


def reviews_of_tasks(
    connection: Connection,
    review: int,
    tasks: Sequence[ReviewTask],
    config: LabelConfig,
    pushed: Sequence[PushedImage],
) -> list[Review]:
    """Return the reviews of the tasks of a review project; see `read_reviews`."""
    names = account_names(connection) if any(task.annotations for task in tasks) else {}
    reader = _Reader(config, names, _by_image(pushed), Oddities())
    reviews = [reader.review(task, entry) for task in tasks for entry in task.annotations]
    reader.oddities.warn(f"review project {review}")
    return reviews


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads reviews."""

    config: LabelConfig
    names: Mapping[int, str]
    pushed: Mapping[str, PushedImage]
    oddities: Oddities

    def review(self, task: ReviewTask, annotation: Mapping[str, Any]) -> Review:
        """Return a review; a skipped one, or one without a list, judges no boxes."""
        results = results_of(annotation)
        skipped = bool(annotation.get("was_cancelled"))
        if not isinstance(annotation.get("result") or [], list):
            self.oddities.drop("no list of results", task.id)
            skipped = True
        regions = [] if skipped else self._regions(results, task, self.oddities)
        return Review(
            tool_id=task.source_task,
            review_id=f"{task.id}/{annotation['id']}",
            shown={} if skipped else self._shown(task, annotation, regions),
            regions=tuple(region for region, _ in regions),
            reviewer=saved_by(annotation, self.names),
            seconds=review_seconds(annotation.get("lead_time")),
            complete=not skipped and is_complete(results, self.config),
            offer=str(task.id),
            saved_at=saved_at(annotation),
            ground_truth=bool(annotation.get("ground_truth")),
            skipped=skipped,
            complete_classes=(frozenset() if skipped else complete_classes(results, self.config)),
        )

    def _regions(
        self, results: Sequence[Any], task: ReviewTask, oddities: Oddities
    ) -> list[tuple[ReviewedRegion, bool]]:
        """Return the boxes of a `result` list, and whether each comes from a prediction."""
        image = self.pushed.get(task.source_task)
        size = image.size if image else None
        plain = [without_suspicion(result) for result in results]
        regions = read_regions(plain, self.config, task.id, oddities, size)
        return [(reviewed_region(region, self.config), region.predicted) for region in regions]

    def _shown(
        self,
        task: ReviewTask,
        annotation: Mapping[str, Any],
        left: Sequence[tuple[ReviewedRegion, bool]],
    ) -> dict[str, ReviewedRegion]:
        """Return the boxes that the reviewer saw: of the prediction, or as pushed.

        If the prediction is gone, remaining mined boxes still count as coming from one.
        """
        image = self.pushed.get(task.source_task)
        pushed = image.boxes if image else {}
        prediction = task.prediction_of(annotation)
        if prediction is None:
            came = {region.region_id: region for region, predicted in left if predicted}
            shown = {id: pushed.get(id, region) for id, region in came.items()}
        else:
            # A label may be gone from the config: then the ledger knows what was shown.
            offered = _rectangle_ids(prediction.result, self.config)
            shown = {id: box for id, box in pushed.items() if id in offered}
            read = self._regions(prediction.result, task, Oddities())
            shown |= {region.region_id: region for region, _ in read}
        there = set(result_ids(results_of(annotation), self.config))
        unreadable = there - {region.region_id for region, _ in left}
        # Boxes that are only compared don't need their JSON.
        return {id: replace(b, content=()) for id, b in shown.items() if id not in unreadable}


def _rectangle_ids(results: Sequence[Any], config: LabelConfig) -> set[str | None]:
    ids = result_ids(results, config)
    return {id for result, id in zip(results, ids, strict=True) if is_rectangle(result, config)}


def _by_image(pushed: Sequence[PushedImage]) -> dict[str, PushedImage]:
    """Return pushed images by id; an image may occur several times in the list."""
    images: dict[str, PushedImage] = {}
    for image in pushed:
        known = images.get(image.tool_id)
        if known is not None:
            boxes = {**known.boxes, **image.boxes}
            image = replace(image, boxes=boxes, size=image.size or known.size)
        images[image.tool_id] = image
    return images


def read_review_project(connection: Connection, review: int) -> ProjectRecord:
    """Return the record of a review project.

    Raises:
        PlaceGoneError: if it was deleted.
    """
    what = f"reading review project {review}"
    try:
        return read_project(connection, review, what)
    except RequestRefusedError as error:
        # An account outside the organization gets the same answer for every project.
        if error.is_not_found and list_projects(connection, what):
            raise PlaceGoneError(
                f"review project {review} at {connection.url} was deleted; its known reviews are "
                "kept"
            ) from None
        raise


def review_config(connection: Connection, review: int, options: ToolOptions) -> LabelConfig:
    """Return the config of reviews, with its labels under their current names."""
    project = read_review_project(connection, review)
    mark = read_mark(project.description)
    # Labels may have been renamed to ones that only the annotated project has.
    own = parse_config(
        project.label_config,
        str(review),
        replace(options, rename={}, choice=EVERYTHING),
        control=mark.control if mark else None,
    )
    if mark is None:
        return own
    try:
        return own.in_terms_of(read_config(connection, mark.source, options))
    except RequestFailedError as error:
        # Under the review project's own names, boxes of renamed labels would be other classes.
        if isinstance(error, RequestRefusedError) and error.is_not_found:
            return own  # it was deleted
        raise
    except ToolError:  # its config has no boxes any more
        return own
