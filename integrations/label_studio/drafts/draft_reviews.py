"""`review` in draft mode: what people made of the drafts, from the annotations that they saved."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sparsedet.tool import PushedImage, ReviewedImage

from ..connection import Connection, project_number
from ..label_config import LabelConfig
from ..predictions import StoredPrediction, read_predictions
from ..projects import account_names, read_config, saved_by
from ..regions import Oddities, is_complete, read_regions, reviewed_region
from .draft_tasks import Account, DraftTask, read_account, read_draft_tasks, region_ids


def read_reviewed_drafts(
    connection: Connection,
    project: str,
    pushed: Sequence[PushedImage],
    *,
    complete_control: str | None = None,
) -> list[ReviewedImage]:
    """Return the images whose mined boxes a person has judged, in the order of `pushed`.

    Nothing is left of a draft once it is saved, so the annotation decides. It was reviewed if the
    account that saw the draft saved it after the push and has no draft there any more: what it
    lacks was rejected. The server also deletes a draft when somebody else, who does not see it,
    saves the annotation, and when the account discards it: only the boxes that the annotation
    holds are judged then. An annotation that started from our prediction has judged all boxes of
    the prediction.

    `seconds` is unknown for drafts: the server adds the time to that of the annotation before.

    Args:
        connection: of the account that pushed.
        project: the annotated project.
        pushed: what was pushed; an image may come several times, with the version and the boxes of
            each push, so that an earlier review is still known while a later draft waits.
        complete_control: see `parse_config`.
    """
    number = project_number(project)
    config = read_config(connection, number, complete_control)
    account = read_account(connection)
    tasks = read_draft_tasks(connection, number)
    versions: dict[str, set[str | None]] = defaultdict(set)
    for image in pushed:
        versions[image.tool_id].add(image.version)
    predictions: Mapping[int, Sequence[StoredPrediction]] = {}
    if any(image.version is None for image in pushed):
        predictions = read_predictions(connection, number)
    names = account_names(connection) if pushed else {}
    oddities = Oddities()
    reviewed = []
    for image in pushed:
        task = tasks.get(image.tool_id)
        annotation = task.annotation if task else None
        if task is None or annotation is None:
            continue
        # Only a person's saving can have brought a mined box into the annotation.
        judged = image.region_ids & region_ids(annotation.get("result"))
        if image.version is None:
            judged |= _predicted(image, annotation, predictions.get(task.id, ()))
        elif _is_reviewed(image.version, task, annotation, account, versions[image.tool_id]):
            judged = image.region_ids
        if judged:
            reviewed.append(
                _reviewed_image(image, judged, task, annotation, config, names, oddities)
            )
    oddities.warn(f"project {project}")
    return reviewed


def _is_reviewed(
    version: str,
    task: DraftTask,
    annotation: Mapping[str, Any],
    account: Account,
    versions: set[str | None],
) -> bool:
    """Whether the account saved the annotation over the draft that was pushed at `version`."""
    if not _saved_after(version, annotation):
        return False
    if (annotation.get("updated_by") or annotation.get("completed_by")) != account.id:
        return False
    # A draft on the annotation as it is now belongs to a later push.
    return not task.drafts_of(account) or task.version in versions


def _saved_after(version: str, annotation: Mapping[str, Any]) -> bool:
    """Whether the annotation was saved after the version; another one may be the newest by now."""
    saved = str(annotation.get("updated_at") or annotation.get("created_at"))
    return saved > version.partition("@")[2]


def _predicted(
    image: PushedImage, annotation: Mapping[str, Any], predictions: Sequence[StoredPrediction]
) -> frozenset[str]:
    """Return the mined boxes of the prediction that the annotation started from."""
    parent = annotation.get("parent_prediction")
    shown = next((p.region_ids for p in predictions if p.id == parent), frozenset[str]())
    return image.region_ids & shown


def _reviewed_image(
    image: PushedImage,
    judged: frozenset[str],
    task: DraftTask,
    annotation: Mapping[str, Any],
    config: LabelConfig,
    names: Mapping[int, str],
    oddities: Oddities,
) -> ReviewedImage:
    results = annotation.get("result")
    seconds = annotation.get("lead_time") if image.version is None else None
    return ReviewedImage(
        tool_id=image.tool_id,
        regions=tuple(
            reviewed_region(region, config)
            for region in read_regions(results, config, task.id, oddities)
        ),
        shown=judged,
        reviewer=saved_by(annotation, names),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        complete=is_complete(results, config),
    )
