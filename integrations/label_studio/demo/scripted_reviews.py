"""Reviews for demos and tests, submitted through the API by a scripted reviewer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsedet.annotations import Image, upright_size
from sparsedet.errors import ToolError
from sparsedet.image_options import ImageOptions
from sparsedet.reviews import ReviewedRegion
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT
from sparsedet.sheets.layout import sheet_from_json
from sparsedet.tool import EVERYTHING, ToolOptions

from ..client.answers import identifier
from ..client.connection import Connection, project_number
from ..geometry import GeometryError, to_percent
from ..images.downloads import download_images
from ..judge_only import is_judge_only
from ..labelling_config.label_config import COMPLETE_CONTROL, LabelConfig
from ..predictions import StoredPrediction, make_region
from ..project_records import read_project
from ..projects import read_config
from ..regions import UNSURE_NOTE, Oddities, read_regions, reviewed_region
from ..review_project.review_tasks import ReviewTask, read_review_tasks


@dataclass(frozen=True, slots=True)
class ScriptedReview:
    """An `OpenReview` of a review project, with what the reviewer sees."""

    tool_id: str
    """The image's id in the source project: `Image.tool_id`."""
    regions: tuple[ReviewedRegion, ...]
    """All boxes shown."""
    scores: dict[str, float]
    """Region id -> score of mined boxes, without human boxes."""
    task: ReviewTask
    prediction: StoredPrediction | None
    """Prediction that the editor starts from; None if the image is shown without boxes."""
    config: LabelConfig
    connection: Connection = field(repr=False)
    """Its account is the reviewer."""

    @property
    def sheet(self) -> Sheet | None:
        """The layout of a contact sheet."""
        layout = self.task.data.get(LAYOUT)
        return None if layout is None else sheet_from_json(layout, f"task {self.task.id}")

    @property
    def judge_only(self) -> bool:
        """Whether judging the mined boxes is enough."""
        return self.prediction is not None and is_judge_only(self.prediction.result)

    def by(self, connection: Connection) -> "ScriptedReview":
        """Return the same review for another account: reviews can be submitted in parallel."""
        return replace(self, connection=connection)

    def submit(
        self, regions: Sequence[ReviewedRegion], *, seconds: float = 0.0, complete: bool = False
    ) -> None:
        """Submit a review as a person's Submit does; `regions` are the remaining boxes.

        Missing boxes count as rejected, changed ones as edited; new boxes may have any id.

        Args:
            regions: boxes in absolute pixels of the upright image; an unsure one gets the note that
                keeps it pending.
            seconds: the time spent on the image.
            complete: whether to mark the image as complete.

        Raises:
            ToolError: if a box has no area, leaves the image, or has an unknown label; if the image
                is unavailable for drawing the first box on it; if the review project has no control
                for `complete`, since nothing was pushed to it after an update.
        """
        image = _image(self) if regions else None
        result = [_result(region, self, image) for region in regions if image is not None]
        if complete:
            result.append(_complete_result(self))
        what = f"submitting the review of task {self.task.id}"
        self._create({"result": result, "lead_time": seconds}, what)

    def skip(self) -> None:
        """Skip the task as a person's Skip does."""
        self._create({"result": [], "was_cancelled": True}, f"skipping task {self.task.id}")

    def _create(self, annotation: Mapping[str, Any], what: str) -> None:
        parent = {} if self.prediction is None else {"parent_prediction": self.prediction.id}
        path = f"api/tasks/{self.task.id}/annotations/"
        identifier(self.connection.post_json(path, {**annotation, **parent}, what), what)


def open_reviews(
    connection: Connection, review_project: str, options: ToolOptions
) -> list[ScriptedReview]:
    """Return the images of a review project that nobody has submitted, in the order of its tasks.

    Each shows the prediction of the project's model version, or only the image if there is no
    prediction of ours.
    """
    number = project_number(review_project)
    # The review project may have a renamed label under both names.
    config = read_config(connection, number, replace(options, rename={}, choice=EVERYTHING))
    version = read_project(connection, number, f"reading review project {number}").model_version
    return [
        _open_review(connection, task, prediction, config)
        for task in read_review_tasks(connection, number)
        if task.is_open
        for prediction in _offered(task, version)
    ]


def _offered(task: ReviewTask, version: str | None) -> list[StoredPrediction | None]:
    """Return what the editor may start from; nothing if another version's prediction is shown."""
    if not task.own_predictions:
        return [None]
    return [p for p in task.predictions if p.model_version == version]


def _result(region: ReviewedRegion, review: ScriptedReview, image: Image) -> dict[str, Any]:
    """Return a box as submitted by the editor: as shown, unless it was changed."""
    results = review.prediction.result if review.prediction else ()
    offered = {str(result.get("id")): result for result in results}
    before = offered.get(region.region_id)
    if before is not None and replace(region, unsure=False) in review.regions:
        result = dict(before)
    else:
        result = _changed_result(region, review, image)
        if before is not None:
            result["origin"] = "prediction-changed"
            if "score" in before:
                result["score"] = before["score"]
    if region.unsure:
        result["meta"] = {"text": [UNSURE_NOTE]}
    return result


def _changed_result(region: ReviewedRegion, review: ScriptedReview, image: Image) -> dict[str, Any]:
    try:
        place = to_percent(region.xyxy, image.width, image.height)
    except GeometryError as error:
        raise ToolError(f"reviewed box {region.region_id}: {error}") from error
    if region.category not in review.config.stored_labels:
        raise ToolError(f"reviewed box {region.region_id}: no label {region.category!r}")
    return make_region(
        region.region_id, region.category, place, image, review.config, origin="manual"
    )


def _complete_result(review: ScriptedReview) -> dict[str, Any]:
    mark = review.config.complete
    if mark is None:
        raise ToolError(
            f"task {review.task.id} can't be marked as complete: its review project has no control "
            f"for it (Choices, by default named {COMPLETE_CONTROL!r}); push again to add it"
        )
    return {
        "id": f"complete-{review.task.id}",
        "from_name": mark.control,
        "to_name": mark.to_name,
        "type": "choices",
        "origin": "manual",
        "value": {"choices": [mark.choice]},
    }


def _open_review(
    connection: Connection,
    task: ReviewTask,
    prediction: StoredPrediction | None,
    config: LabelConfig,
) -> ScriptedReview:
    results = prediction.result if prediction else []
    regions = list(read_regions(results, config, task.id, Oddities()))
    return ScriptedReview(
        tool_id=task.source_task,
        regions=tuple(reviewed_region(region, config) for region in regions),
        scores={region.id or "": region.score for region in regions if region.score is not None},
        task=task,
        prediction=prediction,
        config=config,
        connection=connection,
    )


def _image(review: ScriptedReview) -> Image:
    """Return the image, with its size from its regions or from the served file."""
    width, height = _shown_size(review) or _served_size(review)
    return Image(id=review.task.id, file_name="", width=width, height=height)


def _shown_size(review: ScriptedReview) -> tuple[int, int] | None:
    if review.prediction is None or not review.prediction.result:
        return None
    first = review.prediction.result[0]
    return int(first["original_width"]), int(first["original_height"])


def _served_size(review: ScriptedReview) -> tuple[int, int]:
    """Return the upright (width, height) of an image on which nothing is shown."""
    address = str(review.task.data[review.config.data_key])
    with TemporaryDirectory() as folder:
        names = download_images(
            review.connection, {review.task.id: address}, Path(folder), ImageOptions()
        )
        return upright_size(Path(folder) / names[review.task.id])
