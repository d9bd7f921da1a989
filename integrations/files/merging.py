"""`merge`: bringing reviews into the annotations of a project."""

from collections.abc import Sequence
from datetime import datetime

from sparsedet.annotations import Dataset
from sparsedet.annotations.coco import from_coco
from sparsedet.files import read_json, write_json
from sparsedet.tool import MergedImage, MergeOutcome, Progress, PushedImage, no_progress

from .changes import Changes, apply_changes, changes_to, holds_already
from .project import Project, identify
from .review_files import ReviewVersion
from .verdicts import Verdict, read_verdicts

_NOTHING = Changes([], {}, frozenset(), marks_complete=False)


def merge_reviews(
    project: Project,
    versions: Sequence[ReviewVersion],
    pushed: Sequence[PushedImage],
    *,
    write: bool,
    progress: Progress = no_progress,
) -> list[MergedImage]:
    """Bring the reviews of `versions` into a project's annotations, in one atomic write.

    Ids of boxes that stay, images that nobody reviewed, and keys that sparsedet does not know are
    left as they are. Boxes are taken for those of the review by their tool ids as long as the
    image's version is that of `pushed`; they are not where the image holds what the review says
    already.

    Raises:
        SparseDetError: naming the broken file, and the id of what is broken in it.
        ToolError: when a review can't be read (see `outcomes.read_reviewed`), or uses a category
            that the project has no longer.
    """
    path = project.annotations
    verdicts = read_verdicts(versions)
    content = read_json(path)
    source = identify(from_coco(content, source=str(path)))
    ids = {image.file_name: image.id for image in source.images}
    wanted = [image for image in pushed if image.tool_id in verdicts]
    outcomes: dict[str, tuple[MergeOutcome, Changes]] = {}
    for done, image in enumerate(wanted, start=1):
        verdict = verdicts[image.tool_id]
        outcomes[image.tool_id] = _judge(source, ids.get(image.tool_id), verdict, image)
        progress("comparing reviews with annotations", done, len(wanted))
    changes = {ids[tool_id]: change for tool_id, (_, change) in outcomes.items() if change}
    after = source
    if write and changes:
        apply_changes(content, source, changes, str(path))
        after = identify(from_coco(content, source=str(path)))
        write_json(path, content)
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
            detail=_conflict(project, ids.get(tool_id)) if outcome == "conflict" else "",
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
    # A later push has told the ledger of a version that this review does not start from.
    expected = verdict.version if pushed.version in verdict.later else pushed.version
    if image.tool_version != expected:
        return "conflict", _NOTHING
    return "changed", changes


def _conflict(project: Project, image_id: int | None) -> str:
    """Return what is known of a conflict: files don't tell who changed them."""
    saved = datetime.fromtimestamp(project.annotations.stat().st_mtime).astimezone()
    when = saved.isoformat(sep=" ", timespec="minutes")
    if image_id is None:
        return f"{project.annotations} no longer has the image (saved {when})"
    return f"its annotations in {project.annotations} changed since the push (saved {when})"
