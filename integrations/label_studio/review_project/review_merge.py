"""`review --merge`: submitted reviews into the annotations of the annotated project.

This is the only place that writes annotations of people. It does so only where nobody has changed
them since the review's boxes were pushed, one image at a time, and what the server holds decides:
a merge that was cut off is completed by running it again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import MergedImage, Progress, PushedImage, no_progress

from ..connection import WRITE, Connection, project_number
from ..label_config import LabelConfig
from ..projects import account_names, export_tasks, read_config, saved_by
from ..regions import Oddities, annotation_version, newest
from .annotation_patch import Patch, apply, judge
from .review_tasks import ReviewTask, read_review_tasks

logger = logging.getLogger(__name__)


def merge_reviews(
    connection: Connection,
    project: str,
    review_project: str,
    pushed: Sequence[PushedImage],
    *,
    write: bool,
    complete_control: str | None = None,
    progress: Progress = no_progress,
) -> list[MergedImage]:
    """Bring the submitted reviews of `review_project` into the annotations of `project`.

    Each image is one PATCH of its newest annotation that was not skipped, which keeps its author;
    an image without one gets an annotation of this account. Several reviews of an image, from
    several pushes, are brought in together, later ones overruling earlier ones.

    An image is a conflict, and left alone, when its annotation was saved after the push in
    `pushed`, or after its reviews (a later push does not make an old review a judgement of the new
    annotation), or when somebody has unsaved changes on it: the server would delete them.

    Args:
        connection: its account becomes the last editor of what is written.
        project: number of the annotated project.
        review_project: number of the review project.
        pushed: what was pushed there; reviews of other images are left out.
        write: False only reports what would happen.
        complete_control: see `parse_config`.
        progress: called for every image.

    Returns:
        One entry per image with a submitted review, in the order of the review tasks.

    Raises:
        ToolError: when a request fails, or the two labelling configs differ. What was written
            until then stays, and is `same` the next time.
    """
    source, review = project_number(project), project_number(review_project)
    config = _common_config(connection, source, review, complete_control)
    progress("reading reviews", 0, 1)
    reviews = _submitted(connection, review, pushed)
    tasks = {str(task["id"]): task for task in export_tasks(connection, source)} if reviews else {}
    names = account_names(connection) if reviews else {}
    progress("reading reviews", 1, 1)

    oddities = Oddities()
    merged = []
    for done, (image, of_image) in enumerate(reviews):
        progress("merging reviews", done, len(reviews))
        task = tasks.get(image.tool_id)
        if task is None:
            merged.append(_conflict(image, "its task was deleted"))
            continue
        drafts = _drafts(connection, image.tool_id) if task.get("drafts") else []
        before = _Source(newest(task.get("annotations") or []), drafts)
        plan = _plan(image, of_image, before, config, names, oddities)
        if write and plan.patch is not None:
            # Once more, on what the server holds at this moment.
            before = _read_source(connection, image.tool_id)
            plan = _plan(image, of_image, before, config, names, Oddities())
        version = before.version if write and plan.image.outcome == "same" else None
        if write and plan.patch is not None:
            version = _write(connection, image.tool_id, before.annotation, plan.patch)
        merged.append(replace(plan.image, version=version))
    progress("merging reviews", len(reviews), len(reviews))
    if oddities:
        logger.warning(
            "review project %s: regions not merged as they are: %s", review_project, oddities
        )
    return merged


@dataclass(frozen=True, slots=True)
class _Source:
    """What an annotated task holds."""

    annotation: Mapping[str, Any] | None
    """The newest that was not skipped."""
    drafts: Sequence[Mapping[str, Any]]
    """Unsaved changes on the task, of any account."""

    @property
    def version(self) -> str | None:
        """As `Image.tool_version`."""
        return annotation_version(self.annotation) if self.annotation else None

    @property
    def results(self) -> Sequence[Mapping[str, Any]]:
        """The annotation's results."""
        return (self.annotation.get("result") or []) if self.annotation else []


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done with an image."""

    image: MergedImage
    patch: Patch | None
    """None when nothing is to be written."""


def _plan(
    image: PushedImage,
    reviews: Sequence[ReviewTask],
    source: _Source,
    config: LabelConfig,
    names: Mapping[int, str],
    oddities: Oddities,
) -> _Plan:
    task = int(image.tool_id)
    verdicts = judge(reviews, image.region_ids, config, oddities)
    patch = apply(verdicts, source.results, config, task)
    same = _Plan(MergedImage(image.tool_id, "same"), None)
    if not patch.changes:
        return same
    if reason := _changed_since_push(image, source, names):
        return _Plan(_conflict(image, reason), None)
    since = _since(reviews, source)
    if not since:
        return _Plan(_conflict(image, f"{_last_save(source, names)}, after its review"), None)
    if len(since) < len(reviews):
        verdicts = judge(since, image.region_ids, config, Oddities())
        patch = apply(verdicts, source.results, config, task)
        if not patch.changes:
            return same
    changed = MergedImage(
        image.tool_id,
        "changed",
        added=patch.added,
        edited=patch.edited,
        removed=patch.removed,
        marked_complete=patch.marked_complete,
    )
    return _Plan(changed, patch)


def _changed_since_push(
    image: PushedImage, source: _Source, names: Mapping[int, str]
) -> str | None:
    """Return why the annotation is not what was pushed; None when it is."""
    if source.version != image.version:
        return _last_save(source, names) if source.annotation else "its annotation was deleted"
    for draft in source.drafts:
        # Saving an annotation deletes its drafts, those of other accounts too.
        if source.annotation is not None and draft.get("annotation") == source.annotation["id"]:
            return f"{draft.get('user') or 'somebody'} has unsaved changes on its annotation"
    return None


def _since(reviews: Sequence[ReviewTask], source: _Source) -> list[ReviewTask]:
    """Return the reviews that were saved after the annotation.

    An older one is in it already, or was overruled by the person who saved the annotation after
    it: to bring it in again would undo that.
    """
    annotation = source.annotation
    if annotation is None:
        return list(reviews)
    saved = _saved_at(annotation)
    return [task for task in reviews if task.review and _saved_at(task.review) > saved]


def _conflict(image: PushedImage, detail: str) -> MergedImage:
    return MergedImage(image.tool_id, "conflict", detail=detail)


def _last_save(source: _Source, names: Mapping[int, str]) -> str:
    if source.annotation is None:
        return "it has no annotation"
    when = _saved_at(source.annotation).astimezone(UTC)
    who = saved_by(source.annotation, names) or "an unknown account"
    return f"saved by {who} on {when:%Y-%m-%d at %H:%M} UTC"


def _saved_at(annotation: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(annotation.get("updated_at") or annotation["created_at"])


def _common_config(
    connection: Connection, source: int, review: int, complete_control: str | None
) -> LabelConfig:
    config, of_reviews = (
        read_config(connection, project, complete_control) for project in (source, review)
    )
    if (config.control, config.image, config.labels) != (
        of_reviews.control,
        of_reviews.image,
        of_reviews.labels,
    ):
        raise ToolError(
            f"the labels of project {source} are no longer those of its review project {review}; "
            "push again, which carries them over, then merge"
        )
    return config


def _submitted(
    connection: Connection, review: int, pushed: Sequence[PushedImage]
) -> list[tuple[PushedImage, list[ReviewTask]]]:
    """Return the submitted reviews of each pushed image, both in the order of the review tasks."""
    images = {image.tool_id: image for image in pushed}
    by_image: dict[str, list[ReviewTask]] = {}
    for task in read_review_tasks(connection, review):
        if task.review is not None and task.source_task in images:
            by_image.setdefault(task.source_task, []).append(task)
    return [(images[id], reviews) for id, reviews in by_image.items()]


def _read_source(connection: Connection, task: str) -> _Source:
    what = f"reading the annotations of task {task}"
    annotations = connection.get_json(f"api/tasks/{task}/annotations/", {}, what)
    return _Source(newest(annotations), _drafts(connection, task))


def _drafts(connection: Connection, task: str) -> Sequence[Mapping[str, Any]]:
    drafts: Sequence[Mapping[str, Any]] = connection.get_json(
        f"api/tasks/{task}/drafts", {}, f"reading the drafts of task {task}"
    )
    return drafts


def _write(
    connection: Connection, task: str, annotation: Mapping[str, Any] | None, patch: Patch
) -> str:
    """Save the results; return the version that the annotation has now."""
    result = [dict(entry) for entry in patch.results]
    annotations = connection.client.annotations.with_raw_response
    with connection.request(f"merging the review of task {task}"):
        saved = (
            annotations.create(int(task), result=result, request_options=WRITE)
            if annotation is None
            else annotations.update(int(annotation["id"]), result=result, request_options=WRITE)
        )
    # The server's own text: a date that went through the SDK's model might be written otherwise.
    return annotation_version(saved.response.json())
