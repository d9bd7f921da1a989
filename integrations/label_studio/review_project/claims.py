"""Ownership of a project's reviews: checked before a push, or taken over."""

from sparsedet.push_modes import no_progress

from ..client.connection import Connection
from ..drafts.draft_undo import drafts_up, undo_drafts
from ..marks import draft_mark, foreign_workspace, is_of_control, other_mode
from .review_setup import ReviewProject, SourceProject, check_claims, claim, find_reviews
from .review_undo import undo_review


def unclaimed_reviews(
    connection: Connection, source: SourceProject, owner: str | None, *, sheets: bool = False
) -> list[ReviewProject]:
    """Return the review projects of the annotated one, if nobody else works on it.

    Args:
        connection: to the server.
        source: the annotated project.
        owner: the workspace that pushes.
        sheets: review projects for contact sheets.

    Raises:
        ToolError: if another workspace or push mode works on it.
    """
    control = source.config.control
    reviews = find_reviews(connection, source.number, control, sheets=sheets)
    check_claims(connection, reviews, owner)
    up = drafts_up(connection, source.number, draft_mark(control, owner), control)
    if up.foreign:
        raise foreign_workspace(f"draft mode in project {source.number}", up.foreign)
    if up.boxes:
        raise other_mode(f"as drafts in project {source.number}", up.boxes)
    return reviews


def take_over_reviews(connection: Connection, source: SourceProject, owner: str | None) -> None:
    """Withdraw boxes of other workspaces and draft mode, and claim the review projects.

    Those of other controls stay: they are not in the way.
    """
    control = source.config.control
    undo_drafts(
        connection,
        source.number,
        None,
        dry_run=False,
        progress=no_progress,
        owners=lambda mark: is_of_control(mark, control),
    )
    for review in find_reviews(connection, source.number, control, sheets=None):
        if review.mark.is_foreign(owner):
            undo_review(connection, review.number, None, dry_run=False, progress=no_progress)
            claim(connection, review, source, owner)
