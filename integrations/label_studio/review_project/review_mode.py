"""The push mode `review-project`: mined boxes are reviewed in a project of their own."""

from collections.abc import Mapping, Sequence

from sparsedet.errors import PlaceGoneError
from sparsedet.push_modes import (
    ModeName,
    OnOffer,
    PlaceReviews,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    UndoReport,
    no_progress,
)
from sparsedet.tool import ToolOptions

from ..connection import Connection, project_number
from ..offers import build_predictions, check_push
from ..on_offer import review_on_offer
from ..projects import review_state
from ..task_images import image_key
from .claims import take_over_reviews, unclaimed_reviews
from .review_look import for_people, for_suspected
from .review_plan import plan_push
from .review_push import push_report, push_to_review, source_data
from .review_setup import (
    ReviewProject,
    SourceProject,
    read_source,
    set_up_review,
)
from .review_tabs import facts_of
from .review_tasks import (
    SOURCE_TASK_KEY,
    read_review_tasks,
    read_reviews,
)
from .review_undo import undo_review


class ReviewProjectMode:
    """The `PushMode` of a review project, which any number of people can review in.

    Args:
        connection: to the server.
        options: how projects are read, and on whose behalf.
    """

    name: ModeName = "review-project"

    def __init__(self, connection: Connection, options: ToolOptions) -> None:
        self._connection = connection
        self._options = options

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Find or make the review project, and give it the annotated project's labels."""
        source = read_source(self._connection, project_number(project), self._options)
        if take_over:
            take_over_reviews(self._connection, source, self._options.owner)
        set_up_review(self._connection, source, self._reviews_of(source), self._options.owner)

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put images and mined boxes up for review; see `review_push.push_to_review`."""
        connection, number = self._connection, project_number(project)
        check_push(wanted)
        source = read_source(connection, number, self._options)
        images = build_predictions(
            wanted,
            source.config,
            people=for_people(source.config),
            suspected=for_suspected(source.config),
        )
        tasks_wanted = {image.source_task for image in images}
        files = {i.tool_id: i.file_name for i in wanted.dataset.images if i.tool_id in tasks_wanted}
        data = source_data(connection, number, files, source.annotated)
        reviews = self._reviews_of(source)
        if dry_run:
            review = reviews[0].number if reviews else None
            tasks = [] if review is None else read_review_tasks(connection, review)
            there = [image for image in images if image.source_task in data]
            plan = plan_push(there, tasks, wanted.withdrawn, wanted.model_version)
            return push_report(connection, review, plan, images, data.keys(), wanted.model_version)
        return push_to_review(
            connection,
            set_up_review(connection, source, reviews, self._options.owner),
            images,
            data,
            data_key=source.config.data_key,
            model_version=wanted.model_version,
            withdrawn=wanted.withdrawn,
            facts=facts_of(wanted),
            progress=progress,
        )

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read every review; see `review_tasks.read_reviews`."""
        return read_reviews(self._connection, review_project, pushed, self._options, progress)

    def review_state(self, review_project: str) -> str:
        """Look whether anybody reviews; see `projects.review_state`."""
        return review_state(self._connection, project_number(review_project))

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Look at what is up; see `on_offer.review_on_offer`."""
        return review_on_offer(self._connection, project_number(review_project))

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Have review tasks name the new ids of the tasks that they copy."""
        for task in read_review_tasks(self._connection, project_number(review_project)):
            if task.source_task in images:
                data = {**task.data, SOURCE_TASK_KEY: image_key(images[task.source_task])}
                what = f"noting the new number of a copied task in review task {task.id}"
                self._connection.patch_json(f"api/tasks/{task.id}/", {"data": data}, what)

    def undo(
        self,
        project: str,
        review_project: str,
        region_ids: frozenset[str],
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> UndoReport:
        """Take boxes back; see `review_undo.undo_review`."""
        number = project_number(review_project)
        try:
            return undo_review(
                self._connection, number, region_ids, dry_run=dry_run, progress=progress
            )
        except PlaceGoneError:
            return UndoReport(region_ids=region_ids)

    def _reviews_of(self, source: SourceProject) -> list[ReviewProject]:
        return unclaimed_reviews(self._connection, source, self._options.owner)
