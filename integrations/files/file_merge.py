"""`merge`: bringing reviews into the annotations of a project."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sparsedet.annotations import Dataset
from sparsedet.tool import MergedImage, MergeOutcome, Progress, PushedImage, no_progress

from .annotation_files import AnnotationFiles
from .project import Project
from .review_changes import Changes, Verdict, changes_to, holds_already, read_verdicts
from .review_files import ReviewVersion

logger = logging.getLogger(__name__)

_NOTHING = Changes([], {}, frozenset(), marks_complete=False)


def merge_reviews(
    project: Project,
    versions: Sequence[ReviewVersion],
    pushed: Sequence[PushedImage],
    *,
    write: bool,
    progress: Progress = no_progress,
) -> list[MergedImage]:
    """Bring the reviews of `versions` into a project's annotations.

    A COCO file is written in one go, VOC and YOLO files one by one, each atomically; a merge that
    was cut off between them resumes when it is called again. Ids of boxes that stay, images that
    nobody reviewed, and keys that sparsedet does not know are left as they are. Boxes are matched
    with those of the review by their tool ids, on images whose version is that of `pushed`.

    Raises:
        SparseDetError: naming the broken file, and the id of what is broken in it.
        ToolError: when a review can't be read (see `read_reviewed`), or uses a category
            that the project has no longer.
    """
    files = project.read()
    source = files.dataset
    ids = {image.file_name: image.id for image in source.images}
    verdicts = read_verdicts(versions)
    wanted = [image for image in pushed if image.tool_id in verdicts]
    if not files.holds_complete:
        verdicts = _without_marks(verdicts, project)
    outcomes: dict[str, tuple[MergeOutcome, Changes]] = {}
    for done, image in enumerate(wanted, start=1):
        verdict = verdicts[image.tool_id]
        outcomes[image.tool_id] = _judge(source, ids.get(image.tool_id), verdict, image)
        progress("comparing reviews with annotations", done, len(wanted))
    changes = {ids[tool_id]: change for tool_id, (_, change) in outcomes.items() if change}
    after = files.apply(changes) if write and changes else source
    versions_after = {i.file_name: i.tool_version for i in after.images} if write else {}
    return [
        MergedImage(
            tool_id=tool_id,
            outcome=outcome,
            added=len(change.added),
            edited=len(change.edited),
            removed=len(change.removed),
            marked_complete=change.marks_complete,
            version=None if outcome == "conflict" else versions_after.get(tool_id),
            detail=(
                _conflict(files, tool_id, gone=tool_id not in ids) if outcome == "conflict" else ""
            ),
        )
        for tool_id, (outcome, change) in outcomes.items()
    ]


def _judge(
    source: Dataset, image_id: int | None, verdict: Verdict, pushed: PushedImage
) -> tuple[MergeOutcome, Changes]:
    if image_id is None:
        return "conflict", _NOTHING
    image = source.image_by_id[image_id]
    changes = changes_to(source, image, verdict)
    if not changes or holds_already(source, image, verdict):
        return "same", _NOTHING
    # After a later push the ledger holds a version that this review does not start from.
    expected = verdict.version if pushed.version in verdict.later else pushed.version
    if image.tool_version != expected:
        return "conflict", _NOTHING
    return "changed", changes


def _without_marks(verdicts: Mapping[str, Verdict], project: Project) -> dict[str, Verdict]:
    """Return verdicts without the mark of complete images, which the project's format can't hold.

    Nothing is lost to the rounds: they read it in the reviews.
    """
    if marks := sum(verdict.complete for verdict in verdicts.values()):
        logger.warning(
            "%s: the format can't hold that %d reviewed images are completely labelled; the marks "
            "stay in %s, where rounds find them",
            project.annotations,
            marks,
            project.review,
        )
    return {tool_id: replace(verdict, complete=False) for tool_id, verdict in verdicts.items()}


def _conflict(files: AnnotationFiles, tool_id: str, *, gone: bool) -> str:
    """Return what is known of a conflict: files don't say who changed them."""
    path = files.file_of(tool_id)
    saved = ""
    if path.exists():
        time = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        saved = f" (saved {time.isoformat(sep=' ', timespec='minutes')})"
    if gone:
        return f"{path} no longer has the image{saved}"
    return f"its annotations in {path} changed since the push{saved}"
