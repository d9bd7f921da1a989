"""Makes a prediction for a task from Label Studio: its human boxes and the model's."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsedet.annotations import Box, Category, Dataset, Image, upright_size
from sparsedet.errors import ToolError
from sparsedet.push_modes import ToReview
from sparsedet.reviews import ReviewedRegion
from sparsedet.tool import ToolOptions

from ..annotation_choice import TaskBoxes, read_task, submitted, with_task_date
from ..client.answers import OddAnswerError, as_object, check_annotations, check_task, shown
from ..client.connection import Connection, project_number
from ..images.addresses import image_address
from ..images.cache import find_cached
from ..images.downloads import download_images
from ..images.unreadable import Unreadable
from ..labelling_config.label_config import LabelConfig
from ..marks import read_mark
from ..offers import build_predictions
from ..project_records import read_project
from ..projects import project_config, read_config
from ..regions import Oddities
from ..review_project.review_look import for_people
from ..review_project.review_tasks import SOURCE_TASK_KEY
from ..task_images import TaskImage
from .model_host import ModelHost, live_version

Task = Mapping[str, Any]
"""A task with annotations, as sent by the server."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Human boxes and reviews of a task's image."""

    boxes: TaskBoxes
    project: str
    """The annotated project."""
    image: TaskImage
    """The image there."""
    people: LabelConfig
    """Config for writing human boxes."""


class Predictor:
    """Makes predictions for tasks; thread-safe.

    Args:
        connection: to the server, for images and annotations of review tasks.
        host: holds the model.
        options: how annotations are read.
        images: a workspace's image cache, to avoid downloads; None without one.
    """

    def __init__(
        self,
        connection: Connection,
        host: ModelHost,
        options: ToolOptions,
        images: Path | None = None,
    ) -> None:
        self._connection = connection
        self._host = host
        self._options = options
        self._images = images

    def predict(self, task: Task, label_config: str, project: str) -> dict[str, Any]:
        """Return the prediction for a task, in the protocol's format.

        It contains the boxes of the task's current annotation, and the model's boxes that are
        neither explained by them nor rejected by reviewers. For a task of a review project, the
        current annotation is that of the copied task until somebody submits a review.

        Args:
            task: the task.
            label_config: the labelling config of its project.
            project: the number of its project.

        Raises:
            ToolError: if it is not a task, its image is unavailable, or labels don't match the
                model's classes.
            AnnotationError: if its image can't be decoded.
            NoModelError: if there is no model.
        """
        model = self._host.current
        copied = _copied(task)
        config = project_config(
            self._connection, project_number(project), label_config, self._options
        )
        if config.has_several or config.drawer:
            raise ToolError(
                f"project {project}: live predictions need one image per task and a "
                "RectangleLabels control; use its review project, which has both"
            )
        with ExitStack() as stack:
            address = _address(task, config)
            file = self._file_of(copied.id, address, stack)
            size = upright_size(file)
            known = self._known(task, copied, config, project, size)
            categories = live_categories(model.info.classes, config, project)
            ids = {category.name: category.id for category in categories}
            image = Image(
                id=copied.id,
                file_name=file.name,
                width=size[0],
                height=size[1],
                exhaustive=known.boxes.complete,
                tool_id=copied.tool_id,
                complete_classes=frozenset(
                    ids[name] for name in known.boxes.complete_classes if name in ids
                ),
            )
            rejected = self._host.rejected(known.project, known.image.tool_id)
            dataset = Dataset(
                (image,),
                tuple(_boxes(known.boxes.boxes, image, ids)),
                categories,
                tuple(_boxes(rejected, image, ids)),
            )
            mined = self._host.propose(model, dataset, file.parent)
        wanted = ToReview(dataset, mined, model.info.run_id, queue=[image.id])
        (made,) = build_predictions(wanted, config, people=known.people)
        return {
            "result": made.result(),
            "score": made.score,
            "model_version": live_version(model.info.run_id),
        }

    def _file_of(self, image: int, address: str, stack: ExitStack) -> Path:
        """Return a task's image: from the cache, or downloaded until the stack removes it."""
        if self._images is not None:
            for name in find_cached(self._images, {image: address}).values():
                return self._images / name
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sparsedet-serve-")))
        names = download_images(self._connection, {image: address}, folder, self._options.images)
        return folder / names[image]

    def _known(
        self,
        task: Task,
        copied: TaskImage,
        config: LabelConfig,
        project: str,
        size: tuple[int, int],
    ) -> _Known:
        number = task["id"]
        annotations = task.get("annotations")
        if annotations is None:
            annotations = self._annotations_of(number)
        if SOURCE_TASK_KEY not in task["data"]:
            boxes = self._read(annotations, config, task, number, size)
            return _Known(boxes, project, copied, config)
        people = for_people(config)
        source, source_config = self._source_of(project)
        if submitted(annotations):
            both = config.in_terms_of(source_config)
            boxes = self._read(annotations, both, task, number, size)
        else:
            own = source_config.of_image(copied.number)
            boxes = self._read(self._annotations_of(copied.task), own, {}, copied.task, size)
        return _Known(boxes, source, copied, people)

    def _read(
        self,
        annotations: Iterable[Mapping[str, Any]],
        config: LabelConfig,
        task: Task,
        number: int,
        size: tuple[int, int],
    ) -> TaskBoxes:
        dated = with_task_date(annotations, task)
        return read_task(dated, config, self._options.annotations, number, Oddities(), size)

    def _annotations_of(self, task: int) -> Sequence[Mapping[str, Any]]:
        # Not the task itself: reading one without predictions makes the server call its backend.
        what = f"reading the annotations of task {task}"
        found = self._connection.get_json(f"api/tasks/{task}/annotations/", {}, what)
        return check_annotations(found, what)

    def _source_of(self, review: str) -> tuple[str, LabelConfig]:
        """Return the annotated project of a review project, and its labelling config."""
        found = read_project(self._connection, int(review), f"reading review project {review}")
        mark = read_mark(found.description)
        if mark is None:
            raise ToolError(
                f"project {review}: its tasks are copies for review, but its description no longer "
                "names the annotated project; push again to restore it"
            )
        return str(mark.source), read_config(self._connection, mark.source, self._options)


def live_categories(
    classes: Sequence[tuple[int, str]], config: LabelConfig, project: str
) -> tuple[Category, ...]:
    """Return a project's labels as categories: the model's classes with their ids, then others.

    Raises:
        ToolError: naming a class that the project does not have.
    """
    missing = [name for _, name in classes if not config.texts.get(name)]
    if missing:
        raise ToolError(
            f"project {project} has no label {missing[0]!r}, which the model finds; serve a model "
            "of this project, or map the label to its new name in sparsedet.toml "
            "([labels.rename])"
        )
    own = [Category(id, config.texts[name]) for id, name in classes]
    known = {category.name for category in own}
    others = [label.value for label in config.labels if label.value not in known]
    first = max((category.id for category in own), default=0) + 1
    return (*own, *(Category(id, name) for id, name in enumerate(others, start=first)))


def _boxes(
    regions: Iterable[ReviewedRegion], image: Image, category_ids: Mapping[str, int]
) -> Iterable[Box]:
    for number, region in enumerate(regions, start=1):
        if region.category in category_ids:
            yield Box(
                number,
                image.id,
                category_ids[region.category],
                region.xyxy,
                origin="human",
                tool_id=region.region_id,
            )


def _copied(task: Task) -> TaskImage:
    """Check a task, and return the image that it copies, in a review project, or its own."""
    what = "being asked for predictions"
    try:
        check_task(as_object(task, what, of="a task"), what)
    except OddAnswerError as error:
        raise ToolError(f"a task of the request is invalid: {error.problem}") from None
    source = task["data"].get(SOURCE_TASK_KEY, task["id"])
    try:
        return TaskImage.parse(str(source))
    except ValueError:
        raise ToolError(
            f"task {task['id']}: its {SOURCE_TASK_KEY} is {shown(source)}, expected the number of "
            "the copied task; push again to restore it"
        ) from None


def _address(task: Task, config: LabelConfig) -> str:
    try:
        return image_address(task, config)
    except Unreadable as error:
        raise ToolError(f"task {task['id']}: {error}") from None
