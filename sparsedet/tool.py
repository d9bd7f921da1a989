"""The port: what an annotation tool must offer so that the loop can run against it.

Adapters live in `integrations/` or in other people's packages; `sparsedet.plugins` finds them, and
the core never imports one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.mined_boxes import MinedBox

MOVED_PIXELS = 1.0
"""A box counts as edited when an edge moved by more than this."""

PushMode = Literal["review-project", "draft"]
"""Where mined boxes are reviewed: in a review project of their own, by any number of reviewers; or
as drafts on the annotations themselves, which only the account that pushes sees."""

Outcome = Literal["accepted", "edited", "rejected", "pending"]
"""What reviewers made of a mined box."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while something takes its time."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """What a project is, at a glance."""

    title: str
    images: int
    labels: tuple[str, ...]
    has_complete_control: bool
    """Whether people can say in it that every object of an image has a box."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push left in the annotation tool."""

    review_project: str
    """The tool's id of the project in which people review; for drafts the annotated one itself."""
    url: str
    """Where a person opens it."""
    model_version: str
    images: int
    """Images of this push that are up for review."""
    boxes: int
    """Mined boxes on them."""
    created: int
    """Images that this call pushed or changed; 0 when everything was there already."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Image tool id -> why its boxes could not be pushed; the ledger does not record those."""

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
class PushedImage:
    """What has been pushed for review on one image, as the ledger remembers it.

    For drafts there is one of these for each version of the image's annotation.
    """

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    version: str | None
    """`Image.tool_version` when its boxes were pushed; for review projects that of the latest push,
    or after the latest merge."""
    region_ids: frozenset[str]
    """Its mined boxes."""
    merged: bool = False
    """Reviews of it were merged into the source."""


@dataclass(frozen=True, slots=True)
class ReviewedRegion:
    """A box as it is in a submitted review."""

    region_id: str
    category: str
    """The name of its category."""
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    unsure: bool = False
    """The reviewer left it undecided, by a note that says `unsure`: it stays pending."""


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """One image that a person has reviewed and submitted."""

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    regions: tuple[ReviewedRegion, ...]
    """Every box that the submitted review holds."""
    shown: frozenset[str]
    """Ids of the regions that the reviewer was shown, people's boxes and mined ones. A mined box
    that is among them but not among `regions` was rejected; one that is in neither was not judged.
    What is among `regions` only was drawn by the reviewer."""
    reviewer: str | None
    seconds: float | None
    """Time that the reviewer spent on the image."""
    complete: bool = False
    """The reviewer said that every object of the image has a box."""
    review_id: str | None = None
    """The tool's own id of the review; None where it has none."""


MergeOutcome = Literal["changed", "same", "conflict"]


@dataclass(frozen=True, slots=True)
class MergedImage:
    """What merging a review into the source annotations does, or would do, to one image."""

    tool_id: str
    """The image's id in the source project."""
    outcome: MergeOutcome
    """`same`: the source holds what the review says already; `conflict`: the source changed since
    the review's boxes were pushed, and is left alone."""
    added: int = 0
    """Boxes that the source lacks."""
    edited: int = 0
    """Boxes of the source that the review moved or renamed."""
    removed: int = 0
    """Boxes of the source that the review deleted."""
    marked_complete: bool = False
    """The review says that every object has a box, and the source does not yet."""
    version: str | None = None
    """`Image.tool_version` of the source now; None for a conflict, and where nothing was written
    because `write` was False."""
    detail: str = ""
    """Of a conflict: who changed the source, and when."""


class AnnotationTool(Protocol):
    """A connection to an annotation tool."""

    @property
    def url(self) -> str:
        """The tool's address, without credentials."""
        ...

    @property
    def push_modes(self) -> tuple[PushMode, ...]:
        """The ways in which it can push boxes."""
        ...

    def summary(self, project: str) -> ProjectSummary:
        """Look at a project without reading its annotations.

        Raises:
            ToolError: when it does not exist, or boxes can't be pulled from it.
        """
        ...

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project's annotations, downloading its images into the folder `images`.

        Images that are there already are not downloaded again. `Image.tool_id` and `Box.tool_id`
        carry the tool's own ids; `Image.tool_version` changes whenever somebody saves the image's
        annotations.
        """
        ...

    def push(
        self,
        project: str,
        dataset: Dataset,
        mined: Sequence[MinedBox],
        *,
        model_version: str,
        mode: PushMode = "review-project",
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put mined boxes up for review, with the annotations; a second call changes nothing."""
        ...

    def reviewed(
        self,
        review_project: str,
        *,
        mode: PushMode = "review-project",
        pushed: Sequence[PushedImage] = (),
    ) -> Sequence[ReviewedImage]:
        """Return every image that a person has submitted, several reviews of one oldest first.

        Args:
            review_project: as `PushReport` names it.
            mode: how the boxes were pushed.
            pushed: everything that was ever pushed there; needed for drafts, of which nothing is
                left once a person has saved them.
        """
        ...

    def merge(
        self,
        project: str,
        review_project: str,
        pushed: Sequence[PushedImage],
        *,
        write: bool,
        progress: Progress = no_progress,
    ) -> Sequence[MergedImage]:
        """Bring the submitted reviews of a review project into the source annotations.

        An image whose source annotation is no longer of the version in `pushed` is a conflict, and
        left alone. Whatever else the source annotation holds stays. Unsure boxes are left out.

        Args:
            project: the annotated project.
            review_project: the project in which people reviewed.
            pushed: everything that was ever pushed there; reviews of other images are left out.
            write: False only reports what would happen.
            progress: called for every image.
        """
        ...


class OpenReview(Protocol):
    """An image that waits for its review, with what the reviewer is shown."""

    @property
    def tool_id(self) -> str:
        """The image's id in the source project, as `Image.tool_id` has it."""
        ...

    @property
    def regions(self) -> Sequence[ReviewedRegion]:
        """All boxes on offer."""
        ...

    @property
    def scores(self) -> Mapping[str, float]:
        """Region id -> score, of the mined boxes; people's own boxes are not in it."""
        ...


class ScriptableTool(AnnotationTool, Protocol):
    """An annotation tool whose projects a script can set up and review, for demos and tests."""

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Make a project of the images and their annotations; return its id."""
        ...

    def open_reviews(self, review_project: str) -> Sequence[Any]:
        """Return the images (`OpenReview`) of a review project that nobody has submitted yet."""
        ...

    def submit_review(
        self,
        review: Any,
        regions: Sequence[ReviewedRegion],
        *,
        seconds: float = 0.0,
        complete: bool = False,
    ) -> None:
        """Submit the review of an image from `open_reviews`, in which `regions` remain.

        `seconds` is the time spent on it; `complete`: every object of the image has a box.
        """
        ...
