"""The push mode `sheets`: every contact sheet is a task of a review project for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import Dataset
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
from sparsedet.sheets import Sheet
from sparsedet.sheets.as_images import LAYOUT, as_images, images_of
from sparsedet.sheets.reading import offers_of
from sparsedet.tool import ToolOptions

from ..connection import Connection, project_number
from ..offers import GONE, ImagePredictions, build_predictions, check_push
from ..on_offer import review_on_offer
from ..projects import review_state
from ..review_project.claims import take_over_reviews, unclaimed_reviews
from ..review_project.review_plan import plan_push
from ..review_project.review_push import push_report, push_to_review, source_data
from ..review_project.review_setup import SourceProject, read_source, set_up_review
from ..review_project.review_tasks import ReviewTask, read_review_tasks
from ..review_project.review_undo import undo_review
from .sheet_pictures import addresses_of, remove_unused
from .sheet_reviews import layouts_of, read_sheet_reviews, shown_regions


class SheetMode:
    """The `PushMode` of contact sheets.

    Args:
        connection: to the server.
        options: how projects are read, and on whose behalf.
    """

    name: ModeName = "sheets"

    def __init__(self, connection: Connection, options: ToolOptions) -> None:
        self._connection = connection
        self._options = options

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Find or make the review project for sheets, with the annotated project's labels."""
        connection, owner = self._connection, self._options.owner
        source = read_source(connection, project_number(project), self._options)
        if take_over:
            take_over_reviews(connection, source, owner)
        reviews = unclaimed_reviews(connection, source, owner, sheets=True)
        set_up_review(connection, source, reviews, owner, sheets=True)

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Upload contact sheets and have them reviewed; see `review_push.push_to_review`.

        Boxes on images that the annotated project no longer has are left out.
        """
        connection, owner = self._connection, self._options.owner
        check_push(wanted)
        source = read_source(connection, project_number(project), self._options)
        layouts = {file.sheet.name: file.sheet for file in wanted.sheets}
        gone = images_of(layouts, layouts) - self._there(source, wanted.dataset)
        images = _predictions(list(layouts.values()), wanted, gone, source)
        reviews = unclaimed_reviews(connection, source, owner, sheets=True)
        if dry_run:
            review = reviews[0].number if reviews else None
            tasks = [] if review is None else read_review_tasks(connection, review)
            plan = plan_push(images, tasks, wanted.withdrawn, wanted.model_version)
            report = push_report(connection, review, plan, images, layouts, wanted.model_version)
        else:
            review = set_up_review(connection, source, reviews, owner, sheets=True)
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

    def review_state(self, review_project: str) -> str:
        """Look whether anybody reviews; see `projects.review_state`."""
        return review_state(self._connection, project_number(review_project))

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Look at what is up; see `on_offer.review_on_offer`."""
        return review_on_offer(self._connection, project_number(review_project))

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Have sheets name the new ids of the tasks that their crops come from."""
        tasks = read_review_tasks(self._connection, project_number(review_project))
        for name, sheet in layouts_of(tasks).items():
            renamed = sheet.renamed(images)
            if renamed == sheet:
                continue
            for task in tasks:
                if task.source_task == name:
                    data = {**task.data, LAYOUT: renamed.to_json()}
                    what = f"noting new numbers of tasks in contact sheet {task.id}"
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
        """Take boxes back, and sheets and their pictures with the last of them."""
        number = project_number(review_project)
        try:
            report = undo_review(
                self._connection, number, region_ids, dry_run=dry_run, progress=progress
            )
            if not dry_run:
                tasks = read_review_tasks(self._connection, number)
                remove_unused(self._connection, number, tasks)
        except PlaceGoneError:
            return UndoReport(region_ids=region_ids)
        return report

    def _there(self, source: SourceProject, dataset: Dataset) -> set[str]:
        """Return the ids of the tasks that are still what they were when they were pulled."""
        files = {i.tool_id: i.file_name for i in dataset.images if i.tool_id is not None}
        return set(source_data(self._connection, source.number, files, source.annotated))


def _predictions(
    sheets: Sequence[Sheet],
    wanted: ToReview,
    gone: frozenset[str],
    source: SourceProject,
) -> list[ImagePredictions]:
    """Return what is to be up on each sheet, in their order; sheets without boxes are left out."""
    pictures, boxes = as_images(sheets, wanted.dataset, wanted.left, gone)
    shown = {box.image_id for box in boxes}
    order = [image.id for image in pictures.images if image.id in shown]
    on_sheets = ToReview(pictures, boxes, wanted.model_version, queue=order)
    found = build_predictions(on_sheets, source.config)
    # A sheet on which everything is judged is not to be seen again.
    return [replace(image, queued=False) for image in found]


def _of_images(
    report: PushReport,
    layouts: Mapping[str, Sheet],
    tasks: Sequence[ReviewTask],
    gone: frozenset[str],
) -> PushReport:
    """Return what a push of sheets left, counted in the images that they show."""
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
