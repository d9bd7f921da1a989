"""Predictions into a project, many at a time, and out of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import Progress

from .connection import WRITE, Connection
from .review_tasks import StoredPrediction

CHUNK = 2000
"""Items per request: a bulk import costs about 1 ms per task of the whole project."""


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A prediction to make."""

    task: int
    score: float
    result: Sequence[Mapping[str, Any]]


def import_predictions(
    connection: Connection,
    project: int,
    predictions: Sequence[NewPrediction],
    model_version: str,
    progress: Progress,
) -> None:
    """Make predictions under `model_version`.

    Raises:
        ToolError: when the server did not take all of them.
    """
    from label_studio_sdk.types.prediction_request import PredictionRequest

    for start in range(0, len(predictions), CHUNK):
        progress("pushing mined boxes", start, len(predictions))
        requests = [
            PredictionRequest(
                task=item.task,
                model_version=model_version,
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


def delete_predictions(connection: Connection, predictions: Iterable[StoredPrediction]) -> None:
    """Delete predictions that newer ones replace."""
    for prediction in predictions:
        with connection.request(f"deleting the outdated prediction {prediction.id}"):
            connection.client.predictions.delete(prediction.id)
