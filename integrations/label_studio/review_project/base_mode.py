"""Common base of push modes whose boxes are reviewed in a separate project."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from sparsedet.errors import PlaceGoneError
from sparsedet.push_modes import (
    OnOffer,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    UndoReport,
    no_progress,
)
from sparsedet.tool import ToolOptions

from ..client.connection import Connection, project_number
from ..offers import ImagePredictions
from ..projects import review_state
from .claims import take_over_reviews, unclaimed_reviews
from .review_on_offer import review_on_offer
from .review_plan import plan_push
from .review_push import push_report
from .review_setup import (
    ReviewProject,
    SourceProject,
    find_reviews,
    read_source,
    set_up_review,
)
from .review_tasks import ReviewTask, read_review_tasks
from .review_undo import undo_review


class BaseMode:
    """Common base of the push modes for review projects of images and contact sheets.

    Args:
        connection: to the server.
        options: how projects are read, and on whose behalf.
    """

    for_sheets: ClassVar[bool] = False
    """Whether its review projects are those for contact sheets."""

    def __init__(self, connection: Connection, options: ToolOptions) -> None:
        self._connection = connection
        self._options = options

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Find or create the review project, and give it the annotated project's labels."""
        source = self._source(project)
        if take_over:
            take_over_reviews(self._connection, source, self._options.owner)
        self._set_up(source, self._reviews_of(source))

    def find_place(self, project: str) -> str | None:
        """Return the number of the review project that this workspace has claimed."""
        source, owner = self._source(project), self._options.owner
        found = find_reviews(
            self._connection, source.number, source.config.control, sheets=self.for_sheets
        )
        return next((str(one.number) for one in found if one.mark.workspace == owner), None)

    def review_state(self, review_project: str) -> str:
        """Return a state that changes with reviews; see `projects.review_state`."""
        return review_state(self._connection, project_number(review_project))

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Return what is up for review; see `review_on_offer.review_on_offer`."""
        number, owner = project_number(review_project), self._options.owner
        return review_on_offer(self._connection, number, owner)

    def undo(
        self,
        project: str,
        review_project: str,
        region_ids: frozenset[str],
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> UndoReport:
        """Withdraw boxes; see `review_undo.undo_review`."""
        number = project_number(review_project)
        try:
            report = undo_review(
                self._connection, number, region_ids, dry_run=dry_run, progress=progress
            )
            if not dry_run:
                self._tidy(number)
        except PlaceGoneError:
            return UndoReport(region_ids=region_ids)
        return report

    def _tidy(self, review: int) -> None:
        """Remove unused data of a review project."""

    def _source(self, project: str) -> SourceProject:
        return read_source(self._connection, project_number(project), self._options)

    def _reviews_of(self, source: SourceProject) -> list[ReviewProject]:
        owner = self._options.owner
        return unclaimed_reviews(self._connection, source, owner, sheets=self.for_sheets)

    def _set_up(self, source: SourceProject, reviews: Sequence[ReviewProject]) -> int:
        owner = self._options.owner
        return set_up_review(self._connection, source, reviews, owner, sheets=self.for_sheets)

    def _dry_push(
        self,
        reviews: Sequence[ReviewProject],
        images: Sequence[ImagePredictions],
        known: Collection[str],
        wanted: ToReview,
    ) -> tuple[PushReport, list[ReviewTask]]:
        """Return what a push would do, and the existing tasks.

        Args:
            reviews: the review projects, the one in use first.
            images: images to put up for review.
            known: `source_task` of those that exist.
            wanted: the push.
        """
        review = reviews[0].number if reviews else None
        tasks = [] if review is None else read_review_tasks(self._connection, review)
        there = [image for image in images if image.source_task in known]
        version = wanted.model_version
        plan = plan_push(there, tasks, wanted.withdrawn, version)
        return push_report(self._connection, review, plan, images, known, version), tasks
