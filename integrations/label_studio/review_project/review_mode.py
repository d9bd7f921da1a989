"""The push mode `review-project`: mined boxes are reviewed in a separate project."""

from collections.abc import Mapping, Sequence

from sparsedet.push_modes import (
    ModeName,
    PlaceReviews,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    no_progress,
)

from ..client.connection import project_number
from ..offers import build_predictions, check_push
from ..task_images import image_key
from .base_mode import BaseMode
from .review_look import for_people, for_suspected
from .review_push import push_to_review, source_data
from .review_tabs import facts_of
from .review_tasks import (
    SOURCE_TASK_KEY,
    change_data,
    read_review_tasks,
    read_reviews,
)


class ReviewProjectMode(BaseMode):
    """The `PushMode` of a review project, for any number of reviewers."""

    name: ModeName = "review-project"

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put images and mined boxes up for review; see `review_push.push_to_review`."""
        connection = self._connection
        check_push(wanted)
        source = self._source(project)
        images = build_predictions(
            wanted,
            source.config,
            people=for_people(source.config),
            suspected=for_suspected(source.config),
        )
        tasks_wanted = {image.source_task for image in images}
        files = {i.tool_id: i.file_name for i in wanted.dataset.images if i.tool_id in tasks_wanted}
        data = source_data(connection, source.number, files, source.annotated)
        reviews = self._reviews_of(source)
        if dry_run:
            report, _ = self._dry_push(reviews, images, data.keys(), wanted)
            return report
        return push_to_review(
            connection,
            self._set_up(source, reviews),
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

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Update the ids of the copied tasks in review tasks."""
        for task in read_review_tasks(self._connection, project_number(review_project)):
            if task.source_task in images:
                data = {**task.data, SOURCE_TASK_KEY: image_key(images[task.source_task])}
                what = f"noting the new number of a copied task in review task {task.id}"
                change_data(self._connection, task.id, data, what)
