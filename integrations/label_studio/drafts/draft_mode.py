"""The push mode `draft`: mined boxes are reviewed on the annotations themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sparsedet.annotations import Dataset
from sparsedet.errors import ToolError
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
from sparsedet.reviews import ReviewedRegion
from sparsedet.tool import ToolOptions

from ..client.connection import Connection, project_number
from ..marks import draft_mark, foreign_workspace, other_mode
from ..offers import GONE, build_predictions, check_push
from ..predictions import StoredPrediction, read_predictions
from ..projects import review_state
from ..review_project.review_setup import (
    SourceProject,
    check_claims,
    claim,
    find_reviews,
    open_boxes,
    read_source,
)
from ..review_project.review_undo import undo_review
from ..views import find_view
from .draft_on_offer import drafts_on_offer
from .draft_plan import CHANGED, DraftPlan, DraftRules, PulledImage, plan_drafts, plan_predictions
from .draft_push import (
    VIEW,
    VIEW_TITLE,
    apply_replacements,
    delete_drafts,
    hides_predictions,
    other_model,
    show_drafts,
    still_idle,
    write_drafts,
)
from .draft_reviews import read_draft_reviews
from .draft_tasks import DraftTask, read_account, read_draft_tasks
from .draft_undo import undo_drafts, what_is_up


class DraftMode:
    """The `PushMode` of drafts, which only the account of the API key sees.

    Args:
        connection: its account is the reviewer.
        options: how projects are read, and on whose behalf.
    """

    name: ModeName = "draft"

    def __init__(self, connection: Connection, options: ToolOptions) -> None:
        self._connection = connection
        self._options = options

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Withdraw our own drafts that no longer match their annotation."""
        connection, owner = self._connection, self._options.owner
        source = self._source(project)
        control = source.annotated.control
        if take_over:
            ours = draft_mark(control, owner)
            undo_drafts(
                connection,
                source.number,
                None,
                dry_run=False,
                progress=no_progress,
                owners=lambda mark: ours is not None and mark not in (None, ours),
            )
            for review in find_reviews(connection, source.number, control, sheets=None):
                undo_review(connection, review.number, None, dry_run=False, progress=no_progress)
                claim(connection, review, source, owner)
        state = self._read(source)
        plan = plan_drafts({}, {}, state.tasks, self._rules(source, frozenset()))
        delete_drafts(connection, plan.delete, no_progress)

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put mined boxes up for review as drafts.

        A box that is already in the annotation is left out. A task without annotation gets a
        prediction, which the project is set to show. If the project shows another model's
        predictions, that is kept and the task is skipped; so are tasks whose boxes changed since
        the pull, and tasks with a person's draft.

        Queue, sheets and suspicions are not supported: a draft without mined boxes would show
        nothing new, drafts have no order, and a mark on a person's box would be saved with it.
        """
        connection, number = self._connection, project_number(project)
        check_push(wanted)
        source = self._source(project)
        dataset, version = wanted.dataset, wanted.model_version
        settled = {box.tool_id for box in dataset.boxes}
        left = [box for box in wanted.left if box.region_id not in settled]
        without_people = replace(wanted, dataset=dataset.with_boxes(()), mined=left, queue=())
        images = {
            image.source_task: image
            for image in build_predictions(without_people, source.annotated)
        }
        progress("reading the annotations", 0, 1)
        state = self._read(source)
        progress("reading the annotations", 1, 1)
        rules = self._rules(source, wanted.withdrawn)
        plan = plan_drafts(images, _pulled(dataset), state.tasks, rules)
        shown = other_model(connection, number, state.stored, version)
        if shown is not None:
            plan.skipped |= shown.skip(plan.unannotated)
            plan.unannotated = []
        predictions = plan_predictions(
            plan.unannotated,
            state.tasks,
            state.stored,
            rules,
            None if shown else version,
            hidden=hides_predictions(connection, number, state.tasks, state.stored),
        )
        deleted = len(plan.delete)
        late: dict[str, str] = {}
        if not dry_run:
            deleted = delete_drafts(connection, plan.delete, progress)
            late = write_drafts(connection, plan.write, progress)
            if any(change.outdated for change in predictions.values()):
                idle = still_idle(connection, number, predictions)
                late |= dict.fromkeys(predictions.keys() - idle.keys(), CHANGED)
                predictions = idle
            apply_replacements(connection, number, list(predictions.values()), progress)
            is_shown = shown is None and any(
                change.left == version for change in predictions.values()
            )
            if is_shown or plan.up.keys() - late.keys():
                show_drafts(connection, number, version, predictions=is_shown)
        changed = {str(draft.task) for draft in plan.write} & plan.up.keys()
        changed |= {
            image.source_task
            for image in plan.unannotated
            if image.source_task not in late and predictions[image.source_task].new is not None
        }
        return self._report(
            project,
            plan,
            late,
            model_version=version,
            created=len(changed - late.keys()),
            deleted=deleted + sum(len(change.outdated) for change in predictions.values()),
        )

    def find_place(self, project: str) -> str | None:
        """Return the annotated project itself."""
        return project

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read reviews of drafts; see `draft_reviews.read_draft_reviews`."""
        return read_draft_reviews(self._connection, review_project, pushed, self._options, progress)

    def review_state(self, review_project: str) -> str:
        """Return a state that changes with saved annotations; see `projects.review_state`."""
        return review_state(self._connection, project_number(review_project))

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Return what is up for review; see `draft_on_offer.drafts_on_offer`."""
        number, options = project_number(review_project), self._options
        return drafts_on_offer(self._connection, number, pushed, options.annotations, options.owner)

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Do nothing, since drafts are on the tasks themselves."""

    def undo(
        self,
        project: str,
        review_project: str,
        region_ids: frozenset[str],
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> UndoReport:
        """Withdraw boxes; see `draft_undo.undo_drafts`."""
        number = project_number(review_project)
        return undo_drafts(self._connection, number, region_ids, dry_run=dry_run, progress=progress)

    def _source(self, project: str) -> SourceProject:
        """Read the annotated project.

        Raises:
            ToolError: if its drafts can't show boxes as its controls write them.
        """
        source = read_source(self._connection, project_number(project), self._options)
        config = source.annotated
        if config.has_several or config.drawer:
            what = (
                "shows several images per task"
                if config.has_several
                else "draws boxes with one control and labels them with another"
            )
            raise ToolError(
                f'project {project} {what}, which mode = "draft" does not support; use '
                '[review] mode = "review-project"'
            )
        return source

    def _rules(self, source: SourceProject, withdrawn: frozenset[str]) -> DraftRules:
        return DraftRules(
            account=read_account(self._connection),
            config=source.annotated,
            annotations=self._options.annotations,
            owner=draft_mark(source.annotated.control, self._options.owner),
            withdrawn=withdrawn,
        )

    def _read(self, source: SourceProject) -> "_State":
        """Read the state of the project, if nobody else works on it.

        Raises:
            ToolError: if another workspace or push mode works on it.
        """
        connection, owner = self._connection, self._options.owner
        control = source.annotated.control
        reviews = find_reviews(connection, source.number, control, sheets=None)
        check_claims(connection, reviews, owner)
        for review in reviews:
            if boxes := open_boxes(connection, review.number):
                place = f"in the review project {connection.url}/projects/{review.number}"
                raise other_mode(place, boxes)
        tasks = read_draft_tasks(connection, source.number)
        stored = read_predictions(connection, source.number)
        up = what_is_up(tasks.values(), stored, draft_mark(control, owner), None)
        if up.foreign:
            raise foreign_workspace(f"draft mode in project {source.number}", up.foreign)
        return _State(tasks, stored)

    def _report(
        self,
        project: str,
        plan: DraftPlan,
        late: Mapping[str, str],
        *,
        model_version: str,
        created: int,
        deleted: int,
    ) -> PushReport:
        up = {task: boxes for task, boxes in plan.up.items() if task not in late}
        up |= {i.source_task: len(i.mined) for i in plan.unannotated if i.source_task not in late}
        skipped = {**plan.skipped, **late}
        url = f"{self._connection.url}/projects/{project}/data"
        view = None
        if up:
            view = find_view(self._connection, project_number(project), VIEW_TITLE, VIEW)
        return PushReport(
            review_project=project,
            url=url if view is None else f"{url}?tab={view}",
            model_version=model_version,
            images=len(up),
            boxes=sum(up.values()),
            created=created,
            deleted=deleted,
            skipped=skipped,
            gone=frozenset(task for task, reason in skipped.items() if reason == GONE),
        )


@dataclass(frozen=True, slots=True)
class _State:
    """State of the annotated project."""

    tasks: Mapping[str, DraftTask]
    stored: Mapping[int, Sequence[StoredPrediction]]


def _pulled(dataset: Dataset) -> dict[str, PulledImage]:
    """Return the images of a dataset by tool id."""
    names = {category.id: category.name for category in dataset.categories}
    return {
        image.tool_id: PulledImage(
            image,
            [
                ReviewedRegion(box.tool_id or "", names[box.category_id], box.xyxy)
                for box in dataset.boxes_by_image[image.id]
            ],
        )
        for image in dataset.images
        if image.tool_id is not None
    }
