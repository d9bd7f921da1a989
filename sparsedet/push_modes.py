"""Push modes: the ways in which an annotation tool has mined boxes reviewed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.reviews import NOTHING_WRITTEN, Review, ReviewedRegion, Written
from sparsedet.sheets import SheetFile

ModeName = Literal["review-project", "draft", "sheets"]
"""Where mined boxes are reviewed: on their images in a review project, by any number of reviewers;
as drafts on the annotations themselves, which only the account that pushes sees; or as crops on
contact sheets, in a review project of their own."""

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while something takes its time."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class ToReview:
    """What a push wants to be up for review."""

    dataset: Dataset
    """What was pulled from the annotated project and mined on."""
    mined: Sequence[MinedBox]
    """Every box of the workspace that is to be up."""
    model_version: str
    """The name under which they appear."""
    queue: Sequence[int] = ()
    """Ids of images of the dataset, in the order in which people should see them. One without mined
    boxes is shown with its annotations only. Images with mined boxes that it does not name come
    after it, surest first. Drafts have neither an order nor images without mined boxes."""
    judge_only: frozenset[int] = frozenset()
    """Ids of those of them on which reviewers need only judge the mined boxes: drawing what is
    missing can wait. They are shown that."""
    missing: Mapping[int, float] = field(default_factory=dict)
    """Image id -> expected number of objects without a box, for people to sort by."""
    sheets: Sequence[SheetFile] = ()
    """Of the mode `sheets`: the contact sheets on which the mined boxes are shown, in order. The
    other modes show none."""
    suspicions: Sequence[Suspicion] = ()
    """Annotations that look wrong. Reviewers are shown which and why; one that they leave as it is
    stays as it is."""
    withdrawn: frozenset[str] = frozenset()
    """Region ids that are no longer to be up: they are taken from open tasks."""

    @property
    def left(self) -> list[MinedBox]:
        """The mined boxes that are not withdrawn."""
        return [box for box in self.mined if box.region_id not in self.withdrawn]


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push left in the annotation tool; of a dry run, what it would leave."""

    review_project: str
    """The tool's id of the project in which people review; for drafts the annotated one itself.
    Empty: it does not exist yet (dry run)."""
    url: str
    """Where a person opens it."""
    model_version: str
    images: int
    """Images that are up for review, of this push; those without mined boxes count, too."""
    boxes: int
    """Mined boxes on them."""
    created: int
    """Images that this call pushed or changed; 0 when everything was there already."""
    deleted: int = 0
    """Predictions, drafts and tasks of ours that this call deleted, because newer ones replace
    them or their boxes were withdrawn."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> why its boxes could not be pushed; the ledger does not record those."""
    gone: frozenset[str] = frozenset()
    """The part of `skipped` whose images are no longer in the project."""

    def skipped_lines(self) -> list[str]:
        """Return one line for each reason."""
        images: dict[str, list[str]] = {}
        for image, reason in self.skipped.items():
            images.setdefault(reason, []).append(image)
        return [
            f"skipped {len(found)} images (the first is {found[0]}): {reason}"
            for reason, found in images.items()
        ]


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What taking back a push deleted, or would delete."""

    predictions: int = 0
    drafts: int = 0
    tasks: int = 0
    """Review tasks (for files: images) that nobody had reviewed."""
    views: int = 0
    region_ids: frozenset[str] = frozenset()
    """Mined boxes that are no longer up for review."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> why its boxes stay, such as a draft that a person has changed."""


@dataclass(frozen=True, slots=True)
class PushedImage:
    """What has been pushed for review on one image, as the ledger remembers it.

    For drafts there is one of these for each version of the image's annotation.
    """

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    version: str | None
    """`Image.tool_version` when its boxes were pushed."""
    boxes: Mapping[str, ReviewedRegion]
    """Its mined boxes as they were pushed, by region id; withdrawn ones too."""
    size: tuple[int, int] | None = None
    """Upright (width, height) in pixels that the boxes are in. Adapters turn percentages into
    pixels of this size, and never trust what a region says of it; None: unknown, they have to."""
    written: Written = NOTHING_WRITTEN
    """What merges have written of its reviews."""
    withdrawn: frozenset[str] = frozenset()
    """Ids of those of its boxes that were taken back: a saved draft that lacks one says nothing
    of it."""

    @property
    def region_ids(self) -> frozenset[str]:
        """Ids of its mined boxes."""
        return frozenset(self.boxes)


@dataclass(frozen=True, slots=True)
class PlaceReviews:
    """Everything that was reviewed at a place, and what still waits there."""

    reviews: Sequence[Review] = ()
    """Every submitted or skipped review, also several of one image."""
    waiting: frozenset[str] = frozenset()
    """Tool ids of images that are up and have no review."""
    offers: frozenset[str] = frozenset()
    """Every `Review.offer` that the place still knows, reviewed or waiting. A review of one of them
    that is not in `reviews` was withdrawn; where the offer itself was deleted, such as a review
    task after it was merged, what its reviews said stands."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> the id under which `AnnotationTool.image_url` opens it in the review
    project: of images that are still there, where they have ids of their own."""


@dataclass(frozen=True, slots=True)
class OnOffer:
    """What a place has up at this moment, for a check of whether pushes arrived whole."""

    boxes: Mapping[str, Sequence[str]]
    """Region id of each mined box that waits for a reviewer -> where it is shown, for people. More
    than one: it is there twice."""
    busy: frozenset[str] = frozenset()
    """Region ids of boxes that reviewers have had, or on images that somebody is at or has saved
    since the push: whether they are up is that person's business."""
    empty: Sequence[str] = ()
    """Tasks that show nothing, and do not say what for: a push was cut off. For people."""
    doubles: Sequence[str] = ()
    """Other places of the workspace for the same project and mode, which were made twice: for
    people."""


class PushMode(Protocol):
    """One way of having mined boxes reviewed: a review project, drafts, contact sheets."""

    @property
    def name(self) -> ModeName:
        """Its name."""
        ...

    def prepare(self, project: str, *, take_over: bool = False) -> None:
        """Check, before hours of training, that a push will be possible, and make it so.

        Args:
            project: the annotated project.
            take_over: take the project over from another workspace or push mode: what of theirs is
                up for review and untouched is taken back.

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
        """Have boxes reviewed, with the annotations; a second call changes nothing.

        Images that the project no longer has are skipped. What reviewers have judged is not shown
        again. An image without mined boxes is not shown again under a model version under which
        somebody has submitted or skipped it; where nobody has touched it, it is taken down by a
        push that neither queues it nor has boxes for it.

        Args:
            project: the annotated project.
            wanted: everything of this workspace that is to be up.
            dry_run: only work out the report.
            progress: called while pushing.
        """
        ...

    def reviews(
        self, review_project: str, pushed: Sequence[PushedImage], progress: Progress = no_progress
    ) -> PlaceReviews:
        """Read every review of a place.

        Args:
            review_project: as `PushReport` names it.
            pushed: everything that was ever pushed there.

        Raises:
            PlaceGoneError: when the review project was deleted.
        """
        ...

    def review_state(self, review_project: str) -> str:
        """Return a text that changes when anybody reviews at a place, or takes a review back.

        It takes one request. A push may change it, too: a new text says that it is worth reading
        the reviews again, the same text that it is not.

        Raises:
            ToolError: when the place can't be read.
        """
        ...

    def on_offer(self, review_project: str, pushed: Sequence[PushedImage]) -> OnOffer:
        """Look at what is up at a place, without changing anything.

        Args:
            review_project: as `PushReport` names it.
            pushed: everything that was ever pushed there.

        Raises:
            PlaceGoneError: when the review project was deleted.
        """
        ...

    def rename_images(self, review_project: str, images: Mapping[str, str]) -> None:
        """Take note that images have new tool ids (old -> new): they were imported again."""
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
        """Take back what pushes have left up, where nobody has touched it, and nothing else.

        Images without mined boxes go once no mined box of their model version is left up.

        Args:
            project: the annotated project.
            review_project: as `PushReport` names it.
            region_ids: the mined boxes to take back.
            dry_run: only work out the report.
        """
        ...
