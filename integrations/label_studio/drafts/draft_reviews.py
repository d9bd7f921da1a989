"""`review` in draft mode: reviews of drafts, read from the saved annotations."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsedet.push_modes import PlaceReviews, Progress, PushedImage
from sparsedet.reviews import Review, ReviewedRegion, review_seconds
from sparsedet.tool import ToolOptions
from sparsedet.wording import counted

from ..annotation_choice import saved_at
from ..class_marks import complete_classes
from ..client.connection import Connection, project_number
from ..labelling_config.label_config import LabelConfig
from ..marks import draft_mark
from ..predictions import StoredPrediction, read_predictions
from ..projects import account_names, read_config, saved_by
from ..regions import (
    Oddities,
    is_complete,
    read_regions,
    reviewed_region,
)
from ..started_from import started_from
from .draft_tasks import (
    Account,
    DraftTask,
    came_of_draft,
    is_signed,
    read_account,
    read_draft_tasks,
    region_ids,
    saved_in_editor,
    version_date,
    version_seconds,
)

logger = logging.getLogger(__name__)


def read_draft_reviews(
    connection: Connection,
    project: str,
    pushed: Sequence[PushedImage],
    options: ToolOptions,
    progress: Progress,
) -> PlaceReviews:
    """Return the images whose mined boxes a person has judged.

    A draft disappears when it is saved, so the annotation decides. If it was saved over our draft,
    missing boxes were rejected (see `draft_tasks.came_of_draft`). Other events also save the
    annotation or delete a draft unseen: a colleague, a star, another workspace that takes over.
    Then only boxes in the annotation are judged, and the others stay pending. An annotation that
    started from our prediction has judged all boxes of the prediction.

    No `offers` are reported: later saves by others don't revoke the review of a draft.

    `seconds` is unknown for drafts: the server adds the time to that of the annotation.

    Args:
        connection: of the account that pushed.
        project: the annotated project.
        pushed: pushed images; an image may occur several times, with the version and boxes of each
            push, so that an earlier review is still known while a later draft is pending.
        options: how the project is read.
        progress: called while reading.
    """
    number = project_number(project)
    progress("reading reviews", 0, 1)
    config = read_config(connection, number, options)
    account = read_account(connection)
    tasks = read_draft_tasks(connection, number)
    predictions: Mapping[int, Sequence[StoredPrediction]] = {}
    if any(image.version is None for image in pushed):
        predictions = read_predictions(connection, number)
    names = account_names(connection) if pushed else {}
    progress("reading reviews", 1, 1)
    versions: dict[str, list[PushedImage]] = defaultdict(list)
    for image in pushed:
        versions[image.tool_id].append(image)
    mark = draft_mark(config.control, options.owner)
    oddities = Oddities()
    undecided = 0
    reviews: list[Review] = []
    waiting: set[str] = set()
    for id, images in versions.items():
        if (task := tasks.get(id)) is None:
            continue
        judged = judge_annotations(task, images, mark, predictions.get(task.id, ()), options)
        for annotation_id, boxes in judged.items():
            annotation = task.annotation(annotation_id) or {}
            reviews.append(_review(task, annotation, boxes, images[-1], config, names, oddities))
        if not judged and _is_waiting(task, account, predictions.get(task.id, ())):
            waiting.add(id)
        elif _is_undecided(task, images, judged, account, options):
            undecided += 1
    if undecided:
        logger.warning(
            "project %s: %s saved, but not from their drafts, which were withdrawn, "
            "discarded or not shown: missing boxes stay pending and are shown again after the next "
            "pull and push; to reject boxes, delete them in the draft and press Update",
            project,
            counted(undecided, "image was", "images were"),
        )
    oddities.warn(f"project {project}")
    return PlaceReviews(reviews, frozenset(waiting))


def judge_annotations(
    task: DraftTask,
    images: Sequence[PushedImage],
    mark: str | None,
    predictions: Sequence[StoredPrediction],
    options: ToolOptions,
) -> dict[int, dict[str, ReviewedRegion]]:
    """Return the mined boxes, as pushed, that each annotation of a task has judged.

    Args:
        task: the task's current state.
        images: what was pushed to it, one per version.
        mark: `marks.draft_mark` of the workspace; None for drafts of any workspace.
        predictions: of the task.
        options: which of several annotations counts.
    """
    judged: dict[int, dict[str, ReviewedRegion]] = {}
    versions = [image.version for image in images if image.version is not None]
    for image in images:
        annotation = _annotation(task, image.version, options)
        if annotation is None:
            continue
        # Only a person's save can have put a mined box into the annotation.
        kept = image.region_ids & region_ids(annotation.get("result"))
        ids = kept
        if image.version is None:
            shown = started_from(annotation, task.annotations, predictions)
            ids = kept | (image.region_ids & shown.region_ids if shown else frozenset())
        elif _is_reviewed(image.version, annotation, mark, versions):
            ids = kept | (image.region_ids - image.withdrawn)
        if ids:
            boxes = judged.setdefault(int(annotation["id"]), {})
            boxes |= {id: image.boxes[id] for id in ids}
    return judged


def _annotation(
    task: DraftTask, version: str | None, options: ToolOptions
) -> Mapping[str, Any] | None:
    """Return the annotation that a draft was pushed onto, or that started from a prediction."""
    if version is None:
        chosen = task.chosen(options.annotations)
        return chosen[-1] if chosen else None
    id = version.partition("@")[0]
    return task.annotation(int(id)) if id.isdigit() else None


def _is_reviewed(
    version: str, annotation: Mapping[str, Any], mark: str | None, versions: Iterable[str]
) -> bool:
    """Whether the annotation was saved over the draft that was pushed at `version`."""
    id, date = int(annotation["id"]), version_date(version)
    later = [v for v in versions if v.partition("@")[0] == str(id) and version_date(v) > date]
    after = version_seconds(min(later, key=version_date)) if later else annotation.get("lead_time")
    return came_of_draft(id, version_seconds(version), after, mark)


def _is_undecided(
    task: DraftTask,
    images: Sequence[PushedImage],
    judged: Mapping[int, Mapping[str, ReviewedRegion]],
    account: Account,
    options: ToolOptions,
) -> bool:
    """Whether the account saved an annotation in the editor without deciding pushed boxes."""
    if task.drafts_of(account):
        return False
    said = {id for boxes in judged.values() for id in boxes}
    for image in images:
        annotation = _annotation(task, image.version, options)
        if annotation is not None and image.version is not None:
            left = image.region_ids - image.withdrawn - said
            if left and saved_in_editor(annotation, image.version, account):
                return True
    return False


def _is_waiting(task: DraftTask, account: Account, predictions: Sequence[StoredPrediction]) -> bool:
    """Whether a draft of ours, or a prediction on a task without annotation, is up for review."""
    if task.submitted:
        return bool(task.drafts_of(account))
    return any(is_signed(p.result) for p in predictions)


def _review(
    task: DraftTask,
    annotation: Mapping[str, Any],
    judged: Mapping[str, ReviewedRegion],
    image: PushedImage,
    config: LabelConfig,
    names: Mapping[int, str],
    oddities: Oddities,
) -> Review:
    results = annotation.get("result") or []
    read = [
        reviewed_region(region, config)
        for region in read_regions(results, config, task.id, oddities, image.size)
    ]
    # Regions that can't be read as boxes are not judged; human boxes are kept.
    unreadable = region_ids(results) - {region.region_id for region in read}
    mined = {id: box for id, box in judged.items() if id not in unreadable}
    own = {r.region_id: replace(r, unsure=False) for r in read if r.region_id not in judged}
    seconds = annotation.get("lead_time") if image.version is None else None
    return Review(
        tool_id=str(task.id),
        review_id=f"{task.id}/{annotation['id']}",
        shown={**own, **mined},
        regions=tuple(read),
        reviewer=saved_by(annotation, names),
        seconds=review_seconds(seconds),
        complete=is_complete(results, config),
        offer=f"draft-{task.id}-{annotation['id']}",
        saved_at=saved_at(annotation),
        ground_truth=bool(annotation.get("ground_truth")),
        complete_classes=complete_classes(results, config),
    )
