"""Builds and checks the predictions to review on each image: human and mined boxes.

The server's bulk import silently drops predictions with an unknown label or a score outside 0..1,
and accepts boxes outside the image or without width. So everything is checked here before sending.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.annotations.suspicions import Suspicion, box_name
from sparsedet.errors import ToolError
from sparsedet.push_modes import ToReview

from .geometry import GeometryError, to_percent
from .judge_only import judge_only_result
from .labelling_config.label_config import LabelConfig
from .predictions import make_region
from .suspicion_notes import noted

GONE = "its task was deleted from the annotated project, or shows another image since the pull"
"""Why the boxes of an image can't be pushed."""


@dataclass(frozen=True, slots=True)
class ImagePredictions:
    """Predictions to review on one image."""

    source_task: str
    human: tuple[Mapping[str, Any], ...]
    """Regions of human boxes, without score."""
    mined: Mapping[str, Mapping[str, Any]]
    """Regions of mined boxes by region id, with score."""
    queued: bool = False
    """Whether people should open it even if no mined boxes are left to show."""
    marks: tuple[Mapping[str, Any], ...] = ()
    """Other parts of the prediction."""

    def result(self, left_out: Collection[str] = ()) -> list[Mapping[str, Any]]:
        """Return the `result` of a prediction: human boxes and mined ones not in `left_out`."""
        mined = (region for id, region in self.mined.items() if id not in left_out)
        return [*self.human, *mined, *self.marks]

    @property
    def score(self) -> float:
        """Highest score of its mined boxes, 0 without any."""
        return max((float(region["score"]) for region in self.mined.values()), default=0.0)


def check_push(wanted: ToReview) -> None:
    """Check what is to be pushed, see `ToReview.check`, and that it has a model version.

    Raises:
        ToolError: if it can't be pushed.
    """
    wanted.check()
    if not wanted.model_version:
        raise ToolError("the model version is empty; predictions without one can't be deleted")


def build_predictions(
    wanted: ToReview,
    config: LabelConfig,
    *,
    people: LabelConfig | None = None,
    suspected: LabelConfig | None = None,
) -> list[ImagePredictions]:
    """Return the predictions: images of the queue, then others with boxes by descending score.

    Args:
        wanted: the images, their annotations and the mined boxes; withdrawn ones are left out.
        config: the project's labelling config.
        people: config for writing human boxes; None for `config`.
        suspected: config for writing human boxes that look wrong; None for `people`.

    Raises:
        ToolError: naming the first box that the server would drop or show wrongly.
    """
    dataset = wanted.dataset
    by_image: dict[int, dict[str, Mapping[str, Any]]] = {}
    for box in wanted.left:
        region = _mined_region(box, dataset, config)
        by_image.setdefault(box.image_id, {})[box.region_id] = region
    queued = dict.fromkeys(wanted.queue)
    drawn = _People(people or config, suspected or people or config, dataset, wanted.suspicions)
    first: list[ImagePredictions] = []
    rest: list[ImagePredictions] = []
    for image_id in dict.fromkeys((*queued, *by_image)):
        image = dataset.image_by_id[image_id]
        human = drawn.regions(image)
        # A reviewer accepted it, so it has become an annotation since it was mined.
        known = {str(region["id"]) for region in human}
        regions = by_image.get(image_id, {})
        new = {id: region for id, region in regions.items() if id not in known}
        if image_id in queued:
            marks = (judge_only_result(config.image),) if image_id in wanted.judge_only else ()
            first.append(ImagePredictions(_task_of(image), human, new, queued=True, marks=marks))
        elif new:
            rest.append(ImagePredictions(_task_of(image), human, new))
    return first + sorted(rest, key=lambda image: (-image.score, image.source_task))


def _mined_region(box: MinedBox, dataset: Dataset, config: LabelConfig) -> Mapping[str, Any]:
    name = f"mined box {box.region_id}"
    image = dataset.image_by_id[box.image_id]
    region = _region(name, box.region_id, box, image, dataset, config, "prediction")
    return {**region, "score": box.score}


class _People:
    """Writes human boxes, with a different look for those that look wrong."""

    def __init__(
        self,
        config: LabelConfig,
        suspected: LabelConfig,
        dataset: Dataset,
        suspicions: Iterable[Suspicion],
    ) -> None:
        self._config, self._suspected, self._dataset = config, suspected, dataset
        self._suspicions = {one.key: one for one in suspicions}

    def regions(self, image: Image) -> tuple[Mapping[str, Any], ...]:
        """Return the regions of an image's annotations."""
        return tuple(self._of_box(box, image) for box in self._dataset.boxes_by_image[image.id])

    def _of_box(self, box: Box, image: Image) -> Mapping[str, Any]:
        name = f"annotation {box.id}"
        if box.tool_id is None:
            raise ToolError(
                f"{name} on image {image.id} ({image.file_name}) has no tool_id: pull again; "
                "nothing was pushed"
            )
        suspicion = self._suspicions.get((image.id, box_name(box)))
        config = self._config if suspicion is None else self._suspected
        region = _region(name, box.tool_id, box, image, self._dataset, config, "manual")
        return region if suspicion is None else noted(region, suspicion, self._dataset)


def _region(
    name: str,
    region_id: str,
    box: MinedBox | Box,
    image: Image,
    dataset: Dataset,
    config: LabelConfig,
    origin: str,
) -> Mapping[str, Any]:
    """Return the region of a box; `name` identifies it in errors."""
    label = dataset.category_by_id[box.category_id].name
    if label not in config.stored_labels:
        known = ", ".join(config.stored_labels)
        raise ToolError(
            f"{name}: the project's labelling config has no label {label!r} (it has {known}); "
            "nothing was pushed"
        )
    try:
        place = to_percent(box.xyxy, image.width, image.height)
    except GeometryError as error:
        raise ToolError(f"{name} on image {image.id}: {error}; nothing was pushed") from error
    return make_region(region_id, label, place, image, config, origin=origin)


def _task_of(image: Image) -> str:
    if image.tool_id is None:
        raise ToolError(
            f"image {image.id} ({image.file_name}) has no tool_id: only data that was pulled from "
            "Label Studio can be pushed to it"
        )
    return image.tool_id
