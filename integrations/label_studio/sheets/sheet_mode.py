"""The push mode `sheets`: every contact sheet is a task of a separate review project."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import Dataset
from sparsedet.push_modes import (
    ModeName,
    PlaceReviews,
    Progress,
    PushedImage,
    PushReport,
    ToReview,
    no_progress,
)
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT, as_images, images_of
from sparsedet.sheets.reading import offers_of

from ..client.connection import project_number
from ..offers import GONE, ImagePredictions, build_predictions, check_push
from ..review_project.base_mode import BaseMode
from ..review_project.review_push import push_to_review, source_data
from ..review_project.review_setup import SourceProject
from ..review_project.review_tasks import ReviewTask, change_data, read_review_tasks
from .sheet_pictures import addresses_of, remove_unused
from .sheet_reviews import layouts_of, read_sheet_reviews, shown_regions


class SheetMode(BaseMode):
    """The `PushMode` of contact sheets."""

    name: ModeName = "sheets"
    for_sheets = True

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Upload contact sheets and push them for review; see `review_push.push_to_review`.

        Boxes on images that the annotated project no longer has are left out.
        """
        connection = self._connection
        check_push(wanted)
        source = self._source(project)
        layouts = {file.sheet.name: file.sheet for file in wanted.sheets}
        gone = images_of(layouts, layouts) - self._there(source, wanted.dataset)
        images = _predictions(list(layouts.values()), wanted, gone, source)
        reviews = self._reviews_of(source)
        if dry_run:
            report, tasks = self._dry_push(reviews, images, layouts.keys(), wanted)
        else:
            review = self._set_up(source, reviews)
            tasks = read_review_tasks(connection, review)
            named = {image.source_task for image in images}
            files = [file for file in wanted.sheets if file.sheet.name in named]
            report = push_to_review(
                connection,
                review,
                images,
                addresses_of(connection, review, files, tasks, source.config.data_key, progress),
                data_key=source.config.data_key,
                model_version=wanted.model_version,
                withdrawn=wanted.withdrawn,
                facts={},
                progress=progress,
            )
            tasks = read_review_tasks(connection, review)
            remove_unused(connection, review, tasks)
        return _of_images(report, layouts, tasks, gone)

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read the reviews of all sheets, as reviews of the images that they show."""
        number = project_number(review_project)
        progress("reading reviews of contact sheets", 0, 1)
        tasks = read_review_tasks(self._connection, number)
        layouts = layouts_of(tasks)
        found = read_sheet_reviews(self._connection, number, tasks, layouts, pushed, self._options)
        waiting = {
            layouts[task.source_task].by_region[id].tool_id
            for task in tasks
            if not task.annotations
            for id in task.mined_ids & layouts[task.source_task].by_region.keys()
        }
        offers = {
            offer for task in tasks for offer in offers_of(str(task.id), layouts[task.source_task])
        }
        progress("reading reviews of contact sheets", 1, 1)
        return PlaceReviews(found, frozenset(waiting), frozenset(offers))

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Update the ids of the source tasks of crops in sheets."""
        tasks = read_review_tasks(self._connection, project_number(review_project))
        for name, sheet in layouts_of(tasks).items():
            renamed = sheet.renamed(images)
            if renamed == sheet:
                continue
            for task in tasks:
                if task.source_task == name:
                    data = {**task.data, LAYOUT: renamed.to_json()}
                    what = f"noting new numbers of tasks in contact sheet {task.id}"
                    change_data(self._connection, task.id, data, what)

    def _tidy(self, review: int) -> None:
        """Remove the pictures of sheets that went with the last of their boxes."""
        remove_unused(self._connection, review, read_review_tasks(self._connection, review))

    def _there(self, source: SourceProject, dataset: Dataset) -> set[str]:
        """Return the ids of tasks that still show the pulled image."""
        files = {i.tool_id: i.file_name for i in dataset.images if i.tool_id is not None}
        return set(source_data(self._connection, source.number, files, source.annotated))


def _predictions(
    sheets: Sequence[Sheet],
    wanted: ToReview,
    gone: frozenset[str],
    source: SourceProject,
) -> list[ImagePredictions]:
    """Return the predictions of the sheets, in order; sheets without boxes are left out."""
    pictures, boxes = as_images(sheets, wanted.dataset, wanted.left, gone)
    shown = {box.image_id for box in boxes}
    order = [image.id for image in pictures.images if image.id in shown]
    on_sheets = ToReview(pictures, boxes, wanted.model_version, queue=order)
    found = build_predictions(on_sheets, source.config)
    # A sheet whose boxes are all judged is not shown again.
    return [replace(image, queued=False) for image in found]


def _of_images(
    report: PushReport,
    layouts: Mapping[str, Sheet],
    tasks: Sequence[ReviewTask],
    gone: frozenset[str],
) -> PushReport:
    """Return the report of a push of sheets, counted in images instead of sheets."""
    up = {
        layouts[task.source_task].by_region[id].tool_id
        for task in tasks
        if task.is_open and task.source_task in layouts
        for id in shown_regions(task, layouts[task.source_task])
    }
    skipped = {
        id: reason
        for name, reason in report.skipped.items()
        for id in images_of(layouts, [name] if name in layouts else [])
    }
    return replace(
        report,
        images=len(up),
        skipped={**skipped, **dict.fromkeys(sorted(gone), GONE)},
        gone=gone,
    )
