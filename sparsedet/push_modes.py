"""Push modes: the ways in which an annotation tool has mined boxes reviewed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.errors import ToolError
from sparsedet.reviews import NOTHING_WRITTEN, Review, ReviewedRegion, Written
from sparsedet.sheets import SheetFile
from sparsedet.wording import counted

ModeName = Literal["review-project", "draft", "sheets"]
"""How mined boxes are reviewed: on their images in a review project, by any number of reviewers;
as drafts on the annotations themselves, which only the pushing account sees; or as crops on contact
sheets, in a review project of their own."""

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` during long operations."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress reports."""


@dataclass(frozen=True, slots=True)
class ToReview:
    """The complete set of boxes and images to be up for review."""

    dataset: Dataset
    """The pulled data that was mined on."""
    mined: Sequence[MinedBox]
    """All boxes of the workspace to be up."""
    model_version: str
    """The name under which they appear."""
    queue: Sequence[int] = ()
    """Ids of images in the dataset, in the order in which people should see them. One without mined
    boxes is shown with its annotations only. Other images with mined boxes follow, the most certain
    first. Drafts have neither an order nor images without mined boxes."""
    judge_only: frozenset[int] = frozenset()
    """Ids of those images on which reviewers only need to judge the mined boxes: drawing missing
    objects can wait. Reviewers see that."""
    missing: Mapping[int, float] = field(default_factory=dict)
    """Image id -> expected number of objects without a box, for sorting."""
    sheets: Sequence[SheetFile] = ()
    """Only in the mode `sheets`: the contact sheets with the mined boxes, in order."""
    suspicions: Sequence[Suspicion] = ()
    """Suspicious annotations. Reviewers see which and why; if they leave one unchanged, it
    stays."""
    withdrawn: frozenset[str] = frozenset()
    """Region ids to withdraw: they are removed from open tasks."""

    @property
    def left(self) -> list[MinedBox]:
        """The mined boxes that are not withdrawn."""
        return [box for box in self.mined if box.region_id not in self.withdrawn]

    def check(self) -> None:
        """Check that there is something to push, show or withdraw, before anything is written.

        Raises:
            ToolError: if not; or naming the first box, or image of the queue, that can't be pushed.
        """
        if not self.mined and not self.withdrawn and not self.queue:
            raise ToolError("there are no mined boxes to push")
        seen: set[str] = set()
        for box in self.mined:
            if not box.region_id or box.region_id in seen:
                raise ToolError(
                    f"mined box {box.region_id!r} of image id {box.image_id}: its region id is not "
                    "unique; nothing was pushed"
                )
            if not 0 <= box.score <= 1:  # also refuses nan
                raise ToolError(
                    f"mined box {box.region_id}: score {box.score} is not between 0 and 1; nothing "
                    "was pushed"
                )
            seen.add(box.region_id)
        if unknown := [id for id in self.queue if id not in self.dataset.image_by_id]:
            raise ToolError(
                f"the queue names image id {unknown[0]}, which the dataset does not have"
            )


@dataclass(frozen=True, slots=True)
class PushReport:
    """The state of the annotation tool after a push; in a dry run, as it would be."""

    review_project: str
    """The tool's id of the project in which people review; for drafts the annotated one itself.
    Empty: it doesn't exist yet (dry run)."""
    url: str
    """Where a person opens it."""
    model_version: str
    images: int
    """Images of this push that are up for review, with or without mined boxes."""
    boxes: int
    """Mined boxes on them."""
    created: int
    """Images that this call pushed or changed; 0 if everything was there already."""
    deleted: int = 0
    """Predictions, drafts and tasks of ours that this call deleted, because newer ones replace them
    or their boxes were withdrawn."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> why its boxes could not be pushed; not recorded in the ledger."""
    gone: frozenset[str] = frozenset()
    """The part of `skipped` whose images are no longer in the project."""

    def skipped_lines(self) -> list[str]:
        """Return one line for each reason."""
        images: dict[str, list[str]] = {}
        for image, reason in self.skipped.items():
            images.setdefault(reason, []).append(image)
        return [
            f"skipped {counted(len(found), 'image')} "
            f"({found[0] if len(found) == 1 else f'the first is {found[0]}'}): {reason}"
            for reason, found in images.items()
        ]


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What withdrawing a push deleted, or would delete."""

    predictions: int = 0
    drafts: int = 0
    tasks: int = 0
    """Number of review tasks (for files: images) that nobody had reviewed."""
    views: int = 0
    region_ids: frozenset[str] = frozenset()
    """Mined boxes no longer up for review."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> why its boxes stay, such as a draft that a person changed."""


@dataclass(frozen=True, slots=True)
class PushedImage:
    """What was pushed for review on one image, by the ledger.

    Drafts have one of these per version of the image's annotation.
    """

    tool_id: str
    """The image's id in the source project, as in `Image.tool_id`."""
    version: str | None
    """`Image.tool_version` when its boxes were pushed."""
    boxes: Mapping[str, ReviewedRegion]
    """Its mined boxes as pushed, by region id; including withdrawn ones."""
    size: tuple[int, int] | None = None
    """Upright (width, height) in pixels that the boxes refer to. Adapters convert percentages with
    this size, and never trust the size in a region; None: unknown, then they have to."""
    written: Written = NOTHING_WRITTEN
    """What merges have written of its reviews."""
    withdrawn: frozenset[str] = frozenset()
    """Ids of its withdrawn boxes: a saved draft without one says nothing about it."""

    @property
    def region_ids(self) -> frozenset[str]:
        """Ids of its mined boxes."""
        return frozenset(self.boxes)


@dataclass(frozen=True, slots=True)
class PlaceReviews:
    """All reviews at a place, and what is still waiting there."""

    reviews: Sequence[Review] = ()
    """Every submitted or skipped review, possibly several per image."""
    waiting: frozenset[str] = frozenset()
    """Tool ids of images that are up and have no review."""
    offers: frozenset[str] = frozenset()
    """Every `Review.offer` that the place still knows, reviewed or waiting. If one of their reviews
    is missing from `reviews`, it was withdrawn; if the offer itself was deleted, such as a review
    task after its merge, its reviews still count."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> the id under which `AnnotationTool.image_url` opens it in the review
    project, for existing images with ids of their own there."""


@dataclass(frozen=True, slots=True)
class OnOffer:
    """What a place currently shows of the workspace, to check whether pushes arrived completely."""

    boxes: Mapping[str, Sequence[str]]
    """Region id of each pending mined box -> where it is shown, as text. More than one: it is there
    twice."""
    busy: frozenset[str] = frozenset()
    """Region ids of reviewed boxes, or on images that somebody is working on or saved since the
    push: whether they are up is that person's decision."""
    empty: Sequence[str] = ()
    """Tasks that show nothing and have no purpose: a push was interrupted. As text."""
    doubles: Sequence[str] = ()
    """Duplicate places of the workspace for the same project and mode. As text."""


class PushMode(Protocol):
    """A way of having mined boxes reviewed: a review project, drafts, contact sheets."""

    @property
    def name(self) -> ModeName:
        """Its name."""
        ...

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Check, before hours of training, that a push will be possible, and prepare for it.

        Args:
            project: the annotated project.
            take_over: take the project over from another workspace or push mode, withdrawing what
                it has up for review untouched.

        Raises:
            ToolError: when another workspace or mode works on the project, or labels don't fit.
        """
        ...

    def push(
        self,
        project: str,
        wanted: ToReview,
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put boxes and annotations up for review; a second call changes nothing.

        Images missing from the project are skipped. Boxes judged by reviewers are not shown again.
        An image without mined boxes is not shown again under a model version under which somebody
        has submitted or skipped it; if untouched, it is withdrawn by a push that neither queues it
        nor has boxes for it.

        Args:
            project: the annotated project.
            wanted: everything of this workspace that is to be up.
            dry_run: only compute the report.
            progress: called while pushing.
        """
        ...

    def find_place(self, project: str) -> str | None:
        """Return where pushes of this workspace go, as in `PushReport.review_project`.

        A push that was killed may have put boxes up there without a record of it.

        Args:
            project: the annotated project.

        Returns:
            None if nothing was pushed yet, or another workspace has claimed the place.
        """
        ...

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read every review of a place.

        Args:
            review_project: as in `PushReport`.
            pushed: everything that was ever pushed there.

        Raises:
            PlaceGoneError: when the review project was deleted.
            PlaceAwayError: when it is missing, but may come back.
        """
        ...

    def review_state(self, review_project: str) -> str:
        """Return a text that changes when anybody reviews at a place, or withdraws a review.

        Sends one request. A push may change the text, too: a new text means that reviews are worth
        reading again, the same text that they are not.

        Raises:
            ToolError: when the place can't be read.
        """
        ...

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Return what a place shows of the workspace, without changing anything.

        Args:
            review_project: as in `PushReport`.
            pushed: everything that was ever pushed there.

        Raises:
            PlaceGoneError: when the review project was deleted.
            PlaceAwayError: when it is missing, but may come back.
        """
        ...

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Rename images' tool ids (old -> new) after they were imported again."""
        ...

    def undo(
        self,
        project: str,
        review_project: str,
        region_ids: frozenset[str],
        *,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> UndoReport:
        """Withdraw what pushes left up, if nobody has touched it, and nothing else.

        Images without mined boxes are removed once no mined box of their model version is up.

        Args:
            project: the annotated project.
            review_project: as in `PushReport`.
            region_ids: the mined boxes to withdraw.
            dry_run: only compute the report.
        """
        ...
