"""Draft mode on tasks that nobody has annotated: there a prediction holds the mined boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsedet.tool import Progress

from .connection import Connection
from .draft_tasks import is_signed, signed
from .importing import NewPrediction, delete_predictions, import_predictions
from .predictions import ImagePredictions, same_result
from .review_project import show_version
from .review_tasks import StoredPrediction, read_predictions


@dataclass(frozen=True, slots=True)
class Predicted:
    """What became of the tasks without annotation."""

    created: int
    """Predictions that are new."""
    skipped: dict[str, str]
    """Task -> why it got none."""


def push_predictions(
    connection: Connection,
    project: int,
    wanted: Sequence[ImagePredictions],
    model_version: str,
    progress: Progress,
) -> Predicted:
    """Make the predictions that are missing on tasks without annotation, and have them shown.

    Those of ours that stand there under the same model version with other boxes are replaced. Where
    the project shows the predictions of another model, nothing is changed and all are skipped.

    Args:
        connection: to the server.
        project: the annotated project.
        wanted: what is up for review on tasks without annotation.
        model_version: name of the predictions.
        progress: called while it goes on.
    """
    if not wanted:
        return Predicted(0, {})
    stored = read_predictions(connection, project)
    if other := _other_model(connection, project, stored, model_version):
        reason = (
            f"has no annotation, and the project shows the predictions of {other!r}; change that "
            "under Settings > Annotation and push again"
        )
        return Predicted(0, {image.source_task: reason for image in wanted})
    missing: list[NewPrediction] = []
    outdated: list[StoredPrediction] = []
    for image in wanted:
        result = signed([], image.result())
        ours = [
            prediction
            for prediction in stored.get(int(image.source_task), ())
            if prediction.model_version == model_version and is_signed(prediction.result)
        ]
        kept = next((p for p in ours if same_result(p.result, result)), None)
        outdated += [prediction for prediction in ours if prediction is not kept]
        if kept is None:
            missing.append(NewPrediction(int(image.source_task), image.score, result))
    delete_predictions(connection, outdated)
    import_predictions(connection, project, missing, model_version, progress)
    show_version(connection, project, model_version)
    return Predicted(len(missing), {})


def _other_model(
    connection: Connection,
    project: int,
    stored: Mapping[int, Sequence[StoredPrediction]],
    model_version: str,
) -> str | None:
    """Return the model whose predictions the project shows, unless it is one of ours or none."""
    with connection.request(f"reading project {project}"):
        shown = connection.client.projects.get(project).model_version
    if not shown or shown == model_version:
        return None
    known = [p for predictions in stored.values() for p in predictions if p.model_version == shown]
    # A model without predictions yet is one that the server asks when somebody opens a task.
    return None if known and all(is_signed(p.result) for p in known) else shown
