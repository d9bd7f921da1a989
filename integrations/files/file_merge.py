"""Merges reviews into the annotations of a project, and undoes merges."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import Changes, ReviewedRegion, SourceState, same_shape, scaled
from sparsedet.tool import Applied, Plan, Replaced
from sparsedet.wording import counted

from .annotation_files import AnnotationFiles, OvertakenError, source_state
from .project import Project

logger = logging.getLogger(__name__)

_TRIES = 5
"""Retries after a concurrent save of a file."""
_WRITTEN = "written"
"""Key of `Replaced.content`: how the image was about to be left. A merge that is killed after the
write can't record its version any more."""


def merge_annotations(
    project: Project,
    plans: Mapping[str, Plan],
    *,
    sizes: Mapping[str, tuple[int, int]],
    keep: Callable[[Replaced], None] | None,
    progress: Progress = no_progress,
) -> Iterator[Applied]:
    """Change the annotations of a project; see `sparsedet.tool.AnnotationTool.merge`.

    A COCO file is written at once, VOC and YOLO files one by one, each atomically; an interrupted
    merge resumes when it is called again. A file that somebody saves between our read and write is
    read and planned again, and `keep` is called again.

    Raises:
        SparseDetError: naming the broken file and the id of the broken entry.
        OvertakenError: if somebody saves a file repeatedly.
    """
    files = project.read()
    planned = _plan(files, plans, sizes)
    _warn_of_marks(project, planned)
    batches = [list(plans)] if files.is_one_file else [[image] for image in plans]
    for done, batch in enumerate(batches, start=1):
        batch_plans = {image: plans[image] for image in batch}
        part = {image: planned[image] for image in batch}
        versions: Mapping[str, str | None] = {}
        for left in reversed(range(_TRIES)):
            changes = {image: entry.to_write for image, entry in part.items() if entry.to_write}
            if keep is None or not changes:
                break
            try:
                prepared = files.prepare(changes)
                for image in changes:
                    written = {_WRITTEN: prepared.written[image]}
                    keep(Replaced(image, files.content_of(image) | written))
                versions = prepared.write()
                break
            except OvertakenError:
                if not left:
                    raise
                files = project.read()
                part = _plan(files, batch_plans, sizes)
        for image, entry in part.items():
            version = versions.get(image) if entry.to_write else None
            yield Applied(image, entry.state, entry.changes, version)
        progress("merging reviews", done, len(batches))


def restore_annotations(
    project: Project, replaced: Sequence[tuple[Replaced, str | None]]
) -> dict[str, str]:
    """Undo a merge; see `sparsedet.tool.AnnotationTool.restore`."""
    files = project.read()
    pending = {one.tool_id: (one.content, version) for one, version in replaced}
    batches = [list(pending)] if files.is_one_file else [[image] for image in pending]
    reasons: dict[str, str] = {}
    for batch in batches:
        for left in reversed(range(_TRIES)):
            now = {image.file_name: image.tool_version for image in files.dataset.images}
            part = {image: _why_not(files, now, image, *pending[image]) for image in batch}
            contents = {image: pending[image][0] for image, reason in part.items() if not reason}
            try:
                if contents:
                    files.put_back(contents)
                break
            except (OvertakenError, ToolError, OSError) as error:
                if left and isinstance(error, OvertakenError):
                    files = project.read()
                    continue
                # The caller has to know which images are restored, also if others can't be.
                part |= dict.fromkeys(contents, _said(error))
                break
        reasons |= {image: reason for image, reason in part.items() if reason}
    return reasons


@dataclass(frozen=True, slots=True)
class _Planned:
    """The planned change of an image."""

    state: SourceState | None
    """None if the image is gone."""
    changes: Changes
    """Changes in pixels of the planned size."""
    to_write: Changes
    """Changes in pixels of the image's current size."""
    is_unmarked: bool = False
    """Whether a complete mark is dropped because the format can't store it."""


def _plan(
    files: AnnotationFiles, plans: Mapping[str, Plan], sizes: Mapping[str, tuple[int, int]]
) -> dict[str, _Planned]:
    images = {image.file_name: image for image in files.dataset.images}
    planned = {}
    for tool_id, plan in plans.items():
        image = images.get(tool_id)
        if image is None:
            planned[tool_id] = _Planned(None, Changes(), Changes())
            continue
        own = image.width, image.height
        size = sizes.get(tool_id, own)
        state = source_state(files.dataset, image, size, _saved(files, tool_id))
        if not same_shape(size, own):
            state = replace(state, blocked=_reshaped(size, own))
            planned[tool_id] = _Planned(state, plan(state), Changes())
            continue
        changes = plan(state)
        is_marked = changes.marks_complete or bool(changes.completed_classes)
        is_unmarked = is_marked and not files.holds_complete
        if is_unmarked:
            changes = replace(changes, marks_complete=False, completed_classes=frozenset())
        planned[tool_id] = _Planned(state, changes, _in_pixels(changes, size, own), is_unmarked)
    return planned


def _reshaped(size: tuple[int, int], own: tuple[int, int]) -> str:
    return (
        f"its image was replaced: {own[0]} x {own[1]} pixels instead of {size[0]} x {size[1]}; "
        "pull, then review it again"
    )


def _in_pixels(changes: Changes, size: tuple[int, int], to: tuple[int, int]) -> Changes:
    """Scale changes of an image from one (width, height) to another."""

    def region(of: ReviewedRegion) -> ReviewedRegion:
        return replace(of, xyxy=scaled(of.xyxy, size, to))

    return replace(
        changes,
        edited={id: region(box) for id, box in changes.edited.items()},
        added={id: replace(d, region=region(d.region)) for id, d in changes.added.items()},
    )


def _why_not(
    files: AnnotationFiles,
    now: Mapping[str, str | None],
    tool_id: str,
    content: Any,
    version: str | None,
) -> str:
    """Return why an image can't be restored to a content, given all images' versions, or ""."""
    if tool_id not in now:
        return f"{files.file_of(tool_id)} no longer has the image"
    if files.is_restored(tool_id, content):
        return ""  # by an undo that was interrupted, or the merge was before it wrote
    written = content.get(_WRITTEN)
    if version is None and written is None:  # of an earlier version
        return "the merge was interrupted before it recorded the image's new state"
    as_merged = now[tool_id] == version if version else files.is_written(tool_id, written)
    if not as_merged:
        saved = _saved(files, tool_id)
        return f"its annotations in {files.file_of(tool_id)} changed since the merge ({saved})"
    return ""


def _said(error: Exception) -> str:
    """Return an error as the reason for an image that was not restored."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _saved(files: AnnotationFiles, tool_id: str) -> str:
    """Return what is known about the last change; files don't record who made it."""
    path = files.file_of(tool_id)
    if not path.exists():
        return "no file"
    time = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return f"{path} saved {time.isoformat(sep=' ', timespec='minutes')}"


def _warn_of_marks(project: Project, planned: Mapping[str, _Planned]) -> None:
    """Warn about marks of complete images that the project's format can't store.

    Rounds still read them from the reviews.
    """
    if marks := sum(entry.is_unmarked for entry in planned.values()):
        logger.warning(
            "%s: the format can't store that %s completely labelled; the marks stay in %s, where "
            "rounds find them",
            project.annotations,
            counted(marks, "reviewed image is", "reviewed images are"),
            project.review,
        )
