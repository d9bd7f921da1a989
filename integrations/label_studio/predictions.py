"""Predictions on the server: compared, imported, read, deleted."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from sparsedet.annotations import Image
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress

from .client.answers import identifier, number, text
from .client.connection import Connection
from .client.request_errors import RequestRefusedError
from .labelling_config.label_config import LabelConfig
from .projects import task_data

CHUNK = 10_000
"""Items per request: an import costs 1 ms per task of the project, whatever its size."""
_REGIONS = 100_000
"""Per request: 35 MB. Servers accept 250 MB, proxies often less."""

_DECIMALS = 6
"""Decimals for comparing percentages: a hundredth of a pixel on the largest image."""


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A prediction to create."""

    task: int
    result: Sequence[Mapping[str, Any]]
    model_version: str

    @property
    def score(self) -> float | None:
        """Highest score of its mined boxes; None without any."""
        mined = mined_regions(self.result).values()
        return max((float(region["score"]) for region in mined), default=None)


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction on the server."""

    id: int
    model_version: str
    text: str
    """Its `result` list as JSON: as objects, those of 20,000 images would take 300 MB."""
    by_backend: bool = False
    """Made by an ML backend of the project, not by us."""

    @classmethod
    def of(
        cls,
        id: int,
        model_version: str,
        result: Sequence[Mapping[str, Any]],
        by_backend: bool = False,
    ) -> "StoredPrediction":
        """Create a prediction from its `result` list."""
        return cls(id, model_version, json.dumps(result, separators=(",", ":")), by_backend)

    @property
    def result(self) -> list[Mapping[str, Any]]:
        """The parsed `result` list."""
        read: list[Mapping[str, Any]] = json.loads(self.text)
        return read

    @property
    def region_ids(self) -> frozenset[str]:
        """Ids of its regions."""
        return frozenset(str(region["id"]) for region in self.result if region.get("id"))

    @property
    def mined_ids(self) -> frozenset[str]:
        """Ids of its mined boxes."""
        return frozenset(mined_regions(self.result))


@dataclass(frozen=True, slots=True)
class Replacement:
    """Changes that leave a task with the wanted prediction, or with none."""

    new: NewPrediction | None
    """Prediction to create; None if it exists, or none is wanted."""
    outdated: tuple[StoredPrediction, ...]
    """To be deleted after the new one is created: an interruption leaves two, never none."""
    left: str | None = None
    """Model version of the resulting prediction; None without one."""


def mined_regions(result: Iterable[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the mined regions (those with a score) of a `result` list by id."""
    return {
        str(region["id"]): region
        for region in result
        if isinstance(region, Mapping) and region.get("id") and region.get("score") is not None
    }


def without(result: Iterable[Any], region_ids: Collection[str]) -> list[Any]:
    """Return a `result` list without the given mined regions; empty if none are left."""
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
    """Return the changes that leave a task with one prediction of ours, with `result`.

    Args:
        task: the task's id.
        ours: all predictions on it that pushes created.
        result: the wanted `result` list; empty for none.
        model_version: of the new prediction.
    """
    # There are several if an import succeeded but its answer was lost.
    same = (p for p in ours if p.model_version == model_version and same_result(p.result, result))
    kept = next(same, None) if result else None
    new = NewPrediction(task, result, model_version) if result and kept is None else None
    outdated = tuple(p for p in ours if p is not kept)
    return Replacement(new, outdated, model_version if result else None)


def same_result(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two `result` lists show the same boxes, ids, scores and choices."""
    first, second = list(first), list(second)
    return first == second or _essence(first) == _essence(second)


def make_region(
    region_id: str,
    label: str,
    place: Mapping[str, float],
    image: Image,
    config: LabelConfig,
    *,
    origin: str,
) -> dict[str, Any]:
    """Return a rectangle for a `result` list.

    Args:
        region_id: the region's id.
        label: the category's name.
        place: coordinates from `to_percent`.
        image: for its size in pixels.
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
    """Create predictions, except for tasks that somebody deletes meanwhile.

    Raises:
        ToolError: if the server did not accept all of them.
    """
    done = 0
    for some in _requests(predictions):
        progress("pushing mined boxes", done, len(predictions))
        try:
            _import(connection, project, some)
        except RequestRefusedError as error:
            if error.status != httpx.codes.BAD_REQUEST:
                raise
            # One unknown task fails the whole request; part of it may have been processed.
            if (left := _still_missing(connection, project, some)) is None:
                raise
            if left:
                _import(connection, project, left)
        done += len(some)
    progress("pushing mined boxes", len(predictions), len(predictions))


def _import(connection: Connection, project: int, predictions: Sequence[NewPrediction]) -> None:
    what = f"creating predictions in project {project}"
    body = [
        {
            "task": item.task,
            "model_version": item.model_version,
            "score": item.score,
            "result": item.result,
        }
        for item in predictions
    ]
    answer = connection.post_json(f"api/projects/{project}/import/predictions", body, what)
    if (created := number(answer, "created", what)) != len(predictions):
        raise ToolError(
            f"project {project}: the server accepted only {created} of {len(predictions)} "
            "predictions, without giving a reason; has the labelling config just changed?"
        )


def _still_missing(
    connection: Connection, project: int, predictions: Sequence[NewPrediction]
) -> list[NewPrediction] | None:
    """Return the predictions that existing tasks lack; None if every task exists."""
    there = {task for task, _ in task_data(connection, project)}
    left = [item for item in predictions if item.task in there]
    if len(left) == len(predictions):
        return None
    stored = read_predictions(connection, project)
    return [
        item
        for item in left
        if not any(
            p.model_version == item.model_version and same_result(p.result, item.result)
            for p in stored.get(item.task, ())
        )
    ]


def read_predictions(
    connection: Connection, project: int
) -> Mapping[int, Sequence[StoredPrediction]]:
    """Return predictions by task, oldest first (about 2,000 per second)."""
    path, what = "api/predictions/", f"reading the predictions of project {project}"

    def keep(entry: Mapping[str, Any]) -> tuple[int, StoredPrediction]:
        return identifier(entry, what, "task"), _stored(entry, what)

    stored = connection.get_entries(path, {"project": project}, what, keep)
    by_task: dict[int, list[StoredPrediction]] = defaultdict(list)
    for task, prediction in sorted(stored, key=lambda entry: entry[1].id):
        by_task[task].append(prediction)
    return by_task


def _stored(entry: Mapping[str, Any], what: str) -> StoredPrediction:
    return StoredPrediction.of(
        identifier(entry, what),
        text(entry, "model_version", what),
        _regions(entry.get("result")),
        by_backend=entry.get("model") is not None,
    )


def _regions(result: object) -> list[Mapping[str, Any]]:
    """Return the regions of a prediction; other models' predictions may contain anything."""
    return [r for r in result if isinstance(r, dict)] if isinstance(result, list) else []


def delete_predictions(
    connection: Connection, predictions: Sequence[StoredPrediction], progress: Progress
) -> None:
    """Delete predictions."""
    for done, prediction in enumerate(predictions):
        progress("deleting outdated predictions", done, len(predictions))
        what = f"deleting the outdated prediction {prediction.id}"
        connection.delete(f"api/predictions/{prediction.id}/", what)


def _requests(predictions: Iterable[NewPrediction]) -> Iterator[list[NewPrediction]]:
    """Yield predictions in batches that fit into a request."""
    some: list[NewPrediction] = []
    regions = 0
    for prediction in predictions:
        if some and (len(some) == CHUNK or regions + len(prediction.result) > _REGIONS):
            yield some
            some, regions = [], 0
        some.append(prediction)
        regions += len(prediction.result)
    if some:
        yield some


def _essence(result: Iterable[Mapping[str, Any]]) -> dict[str, tuple[object, ...]]:
    essence: dict[str, tuple[object, ...]] = {}
    for region in result:
        value = region.get("value")
        value = value if isinstance(value, Mapping) else {}
        place = (_rounded(value.get(key)) for key in ("x", "y", "width", "height"))
        labels = value.get("rectanglelabels") or value.get("choices")
        essence[str(region.get("id"))] = (labels, region.get("score"), *place)
    return essence


def _rounded(value: object) -> object:
    return round(value, _DECIMALS) if isinstance(value, float) else value
