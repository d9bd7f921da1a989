"""Human and mined boxes as Label Studio predictions: built and checked, imported, read, deleted.

The server's bulk import drops predictions with an unknown label or a score outside 0..1 without a
word, and takes boxes outside the image or without width. So all checks happen here, before anything
is sent.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.tool import Progress

from .connection import WRITE, Connection
from .geometry import GeometryError, to_percent
from .label_config import LabelConfig

CHUNK = 2000
"""Items per request: a bulk import costs about 1 ms per task of the whole project."""

GONE = "its task was deleted from the annotated project, or shows another image since the pull"
"""Why the boxes of an image can't be pushed."""

_DECIMALS = 6
"""Percentages are compared with this many decimals: a hundredth of a pixel on the largest image."""


@dataclass(frozen=True, slots=True)
class ImagePredictions:
    """What is up for review on one image."""

    source_task: str
    human: tuple[Mapping[str, Any], ...]
    """Regions of the boxes that people drew: without score."""
    mined: Mapping[str, Mapping[str, Any]]
    """Regions of mined boxes by their region id: with score."""

    def result(self, left_out: Collection[str] = ()) -> list[Mapping[str, Any]]:
        """Return the `result` of a prediction: human boxes and mined ones not in `left_out`."""
        return [*self.human, *(r for id, r in self.mined.items() if id not in left_out)]

    @property
    def score(self) -> float:
        """The score of its surest mined box; orders the review."""
        return max(float(region["score"]) for region in self.mined.values())


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A prediction to make."""

    task: int
    result: Sequence[Mapping[str, Any]]
    model_version: str

    @property
    def score(self) -> float:
        """The score of its surest mined box."""
        return max(float(region["score"]) for region in mined_regions(self.result).values())


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as the server holds it."""

    id: int
    model_version: str
    result: Sequence[Mapping[str, Any]]
    by_backend: bool = False
    """A machine learning backend of the project made it; it is not ours."""

    @property
    def region_ids(self) -> frozenset[str]:
        """Ids of the regions that it offers to the reviewer."""
        return frozenset(str(region["id"]) for region in self.result if region.get("id"))

    @property
    def mined_ids(self) -> frozenset[str]:
        """Ids of the mined boxes that it offers."""
        return frozenset(mined_regions(self.result))


@dataclass(frozen=True, slots=True)
class Replacement:
    """What brings the predictions of a task to the one that is wanted, or to none."""

    new: NewPrediction | None
    """None: the one that is wanted is there, or none is wanted."""
    outdated: tuple[StoredPrediction, ...]
    """To be deleted once the new one is there: a cut in between leaves two, never none."""
    left: str | None = None
    """Model version of the one that is there in the end; None: none is."""


def check_push(
    mined: Sequence[MinedBox],
    withdrawn: Collection[str],
    model_version: str,
    queue: Sequence[int] = (),
) -> None:
    """Check that there is something to push, to show or to withdraw, under a name.

    Raises:
        ToolError: when there is not.
    """
    if not mined and not withdrawn and not queue:
        raise ToolError("there are no mined boxes to push")
    if not model_version:
        raise ToolError("the model version is empty; predictions without one can't be deleted")


def build_predictions(
    dataset: Dataset, mined: Sequence[MinedBox], config: LabelConfig
) -> list[ImagePredictions]:
    """Return what is up for review on every image with mined boxes, surest image first.

    Raises:
        ToolError: naming the first box that the server would drop or show wrongly.
    """
    by_image: dict[int, dict[str, Mapping[str, Any]]] = {}
    seen: set[str] = set()
    for box in mined:
        if box.region_id in seen:
            raise ToolError(f"mined box {box.region_id} is in the list twice; nothing was pushed")
        seen.add(box.region_id)
        region = _mined_region(box, dataset, config)
        by_image.setdefault(box.image_id, {})[box.region_id] = region
    predictions = []
    for image_id, regions in by_image.items():
        image = dataset.image_by_id[image_id]
        human = _human_regions(dataset.boxes_by_image[image_id], image, dataset, config)
        # A reviewer accepted it, and it has become an annotation since it was mined.
        known = {str(region["id"]) for region in human}
        if new := {id: region for id, region in regions.items() if id not in known}:
            predictions.append(ImagePredictions(_task_of(image), human, new))
    return sorted(predictions, key=lambda prediction: (-prediction.score, prediction.source_task))


def mined_regions(result: Iterable[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the mined regions of a `result` list by id: those that have a score."""
    return {
        str(region["id"]): region
        for region in result
        if isinstance(region, Mapping) and region.get("id") and region.get("score") is not None
    }


def without(result: Iterable[Any], region_ids: Collection[str]) -> list[Any]:
    """Return a `result` list without the mined regions of these ids; empty if none are left."""
    mined = mined_regions(left := list(result))
    gone = mined.keys() & set(region_ids)
    if mined.keys() == gone:
        return []
    return [r for r in left if not (isinstance(r, Mapping) and str(r.get("id")) in gone)]


def replace_predictions(
    task: int,
    ours: Sequence[StoredPrediction],
    result: Sequence[Mapping[str, Any]],
    model_version: str,
) -> Replacement:
    """Return what leaves the task with one prediction of ours, that of `result`.

    Args:
        task: its id.
        ours: all predictions on it that pushes made.
        result: what it should offer; empty: nothing.
        model_version: of the new prediction.
    """
    # There is more than one when an import went through but its answer got lost.
    same = (p for p in ours if p.model_version == model_version and same_result(p.result, result))
    kept = next(same, None) if result else None
    new = NewPrediction(task, result, model_version) if result and kept is None else None
    outdated = tuple(p for p in ours if p is not kept)
    return Replacement(new, outdated, model_version if result else None)


def same_result(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two `result` lists show the reviewer the same boxes with the same ids and scores."""
    return _essence(first) == _essence(second)


def make_region(
    region_id: str,
    label: str,
    place: Mapping[str, float],
    image: Image,
    config: LabelConfig,
    *,
    origin: str,
) -> dict[str, Any]:
    """Return a rectangle of a `result` list.

    Args:
        region_id: its id.
        label: the category's name.
        place: from `to_percent`.
        image: gives the size in pixels.
        config: the project's labelling config.
        origin: `manual`, `prediction` or `prediction-changed`; the editor marks the latter two.
    """
    return {
        "id": region_id,
        "from_name": config.control,
        "to_name": config.image,
        "type": "rectanglelabels",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "origin": origin,
        "value": {**place, "rotation": 0, "rectanglelabels": [config.stored_labels[label]]},
    }


def import_predictions(
    connection: Connection,
    project: int,
    predictions: Sequence[NewPrediction],
    progress: Progress,
) -> None:
    """Make predictions.

    Raises:
        ToolError: when the server did not take all of them.
    """
    from label_studio_sdk.types.prediction_request import PredictionRequest

    for start in range(0, len(predictions), CHUNK):
        progress("pushing mined boxes", start, len(predictions))
        requests = [
            PredictionRequest(
                task=item.task,
                model_version=item.model_version,
                score=item.score,
                result=[dict(region) for region in item.result],
            )
            for item in predictions[start : start + CHUNK]
        ]
        with connection.request(f"creating predictions in project {project}"):
            answer = connection.client.projects.import_predictions(
                project, request=requests, request_options=WRITE
            )
        if answer.created != len(requests):
            raise ToolError(
                f"project {project}: the server took {answer.created} of {len(requests)} "
                "predictions without saying why; has its labelling config changed just now?"
            )
    progress("pushing mined boxes", len(predictions), len(predictions))


def read_predictions(
    connection: Connection, project: int
) -> Mapping[int, Sequence[StoredPrediction]]:
    """Return the predictions of every task that has any, oldest first (about 2,000 per second)."""
    entries = connection.get_json(
        "api/predictions/", {"project": project}, f"reading the predictions of project {project}"
    )
    by_task: dict[int, list[StoredPrediction]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: int(entry["id"])):
        by_task[int(entry["task"])].append(
            StoredPrediction(
                int(entry["id"]),
                entry.get("model_version") or "",
                entry["result"],
                by_backend=entry.get("model") is not None,
            )
        )
    return by_task


def delete_predictions(
    connection: Connection, predictions: Sequence[StoredPrediction], progress: Progress
) -> None:
    """Delete predictions."""
    for done, prediction in enumerate(predictions):
        progress("deleting outdated predictions", done, len(predictions))
        with connection.request(f"deleting the outdated prediction {prediction.id}"):
            connection.client.predictions.delete(prediction.id)


def _mined_region(box: MinedBox, dataset: Dataset, config: LabelConfig) -> Mapping[str, Any]:
    name = f"mined box {box.region_id}"
    if not (math.isfinite(box.score) and 0 <= box.score <= 1):
        raise ToolError(f"{name}: score {box.score} is not within 0 and 1; nothing was pushed")
    if not box.region_id:
        raise ToolError("a mined box has no region id; nothing was pushed")
    image = dataset.image_by_id[box.image_id]
    region = _region(name, box.region_id, box, image, dataset, config, "prediction")
    return {**region, "score": box.score}


def _human_regions(
    boxes: Iterable[Box], image: Image, dataset: Dataset, config: LabelConfig
) -> tuple[Mapping[str, Any], ...]:
    regions = []
    for box in boxes:
        name = f"annotation {box.id}"
        if box.tool_id is None:
            raise ToolError(
                f"{name} on image {image.id} ({image.file_name}) has no tool_id: pull again; "
                "nothing was pushed"
            )
        regions.append(_region(name, box.tool_id, box, image, dataset, config, "manual"))
    return tuple(regions)


def _region(
    name: str,
    region_id: str,
    box: MinedBox | Box,
    image: Image,
    dataset: Dataset,
    config: LabelConfig,
    origin: str,
) -> Mapping[str, Any]:
    """Return the region of a box; `name` names it in errors."""
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


def _essence(result: Iterable[Mapping[str, Any]]) -> dict[str, tuple[object, ...]]:
    essence: dict[str, tuple[object, ...]] = {}
    for region in result:
        value = region.get("value", {})
        place = (_rounded(value.get(key)) for key in ("x", "y", "width", "height"))
        labels = value.get("rectanglelabels")
        essence[str(region.get("id"))] = (labels, region.get("score"), *place)
    return essence


def _rounded(value: object) -> object:
    return round(value, _DECIMALS) if isinstance(value, float) else value
