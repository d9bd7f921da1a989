"""The port: what an annotation tool must offer so that the loop can run against it.

Adapters live in `integrations/` or in other people's packages; `sparsedet.plugins` finds them, and
the core never imports one. They read and write; `sparsedet.reviews` decides what reviews mean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from sparsedet.annotations import Dataset
from sparsedet.image_options import ImageOptions
from sparsedet.push_modes import ModeName, Progress, PushMode, no_progress
from sparsedet.reviews import (
    AnnotationRule,
    Changes,
    SourceState,
)

Outcome = Literal["accepted", "edited", "rejected", "pending", "withdrawn", "sampled"]
"""What reviewers made of a mined box. Withdrawn: taken back before anybody judged it. Sampled:
accepted by the sample of its lot, and seen by nobody."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def shown_outcomes(sampled: int) -> tuple[Outcome, ...]:
    """Return the outcomes that tables have a column for.

    Args:
        sampled: boxes with that outcome, which most workspaces never have.
    """
    return tuple(outcome for outcome in OUTCOMES if sampled or outcome != "sampled")


Shapes = Literal["skip", "boxes"]
"""What becomes of annotations that are no rectangles: left out, or their boxes are taken."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of a project that a workspace works on."""

    view: int | None = None
    """Number of a view of the tool, whose images are taken; None: all."""
    only: tuple[str, ...] = ()
    """The labels whose boxes are taken; empty: all."""
    annotators: tuple[str, ...] = ()
    """Mail addresses or numbers of the people whose annotations are taken; empty: all."""
    skip_skipped: bool = False
    """Leave out images that people have only skipped."""

    def __bool__(self) -> bool:
        return bool(self.view is not None or self.only or self.annotators or self.skip_skipped)

    def __str__(self) -> str:
        parts = [
            f"view {self.view}" if self.view is not None else "",
            f"only {', '.join(self.only)}" if self.only else "",
            f"annotated by {', '.join(self.annotators)}" if self.annotators else "",
            "without skipped images" if self.skip_skipped else "",
        ]
        return "; ".join(part for part in parts if part)


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """How an annotation tool is read, and on whose behalf."""

    complete_control: str | None = None
    """The control that says that every object of an image has a box; None: `sparsedet_complete`."""
    annotations: AnnotationRule = "ground-truth-first"
    """What counts where several people annotated an image."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Label as it is stored -> the label's present name; empty: its boxes are left out."""
    control: str | None = None
    """The control for boxes; None: the only one of each image."""
    shapes: Shapes = "skip"
    """What becomes of polygons and the like."""
    choice: Choice = EVERYTHING
    """The part of a project that is read."""
    owner: str | None = None
    """Names the workspace in marks on the server, so that two don't work on one project unaware of
    each other; None: no marks are set or respected."""
    images: ImageOptions = field(default_factory=ImageOptions)
    """How images are fetched."""
    skip_share: float | None = 0.2
    """The most of the tasks that a pull may leave out because they can't be read, though one always
    may be; None: the first of them is an error."""
    named_url: bool = False
    """The user named the server for this very call; else its address comes from a file, and a key
    that is meant for another server must not be sent there."""
    max_answer_megabytes: float = 1000.0
    """The most that one answer of a server may hold."""
    max_answer_seconds: float = 1800.0
    """The longest that one answer may take."""


DEFAULT_OPTIONS = ToolOptions()


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """What a project is, at a glance."""

    title: str
    images: int
    labels: tuple[str, ...]
    has_complete_control: bool
    """Whether people can say in it that every object of an image has a box."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a merge replaces in the source, for `AnnotationTool.restore`."""

    tool_id: str
    content: Any
    """JSON of the adapter's own: the annotations of the image before."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a merge found, and did, in the source annotations of one image."""

    tool_id: str
    state: SourceState | None
    """As it was before; None: the project no longer has the image."""
    changes: Changes
    version: str | None = None
    """`Image.tool_version` of the source now; None where nothing was written."""
    overtaken: str = ""
    """Somebody saved the image in the same moment: who, when and what to look at; else empty."""


Plan = Callable[[SourceState], Changes]
"""Returns what to change in an image, given what its source holds at this moment."""


class AnnotationTool(Protocol):
    """A connection to an annotation tool."""

    @property
    def url(self) -> str:
        """The tool's address, without credentials."""
        ...

    @property
    def push_modes(self) -> Mapping[ModeName, PushMode]:
        """The ways in which it can have boxes reviewed, the usual one first."""
        ...

    def summary(self, project: str) -> ProjectSummary:
        """Look at a project without reading its annotations.

        Raises:
            ToolError: when it does not exist, is itself a review project, or boxes can't be pulled
                from it.
        """
        ...

    def image_url(self, project: str, tool_id: str) -> str:
        """Return where a person opens an image of a project."""
        ...

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project's annotations, downloading its images into the folder `images`.

        Images that are there already are not downloaded again. `Image.tool_id` and `Box.tool_id`
        carry the tool's own ids, which are the same at the next pull; `Image.tool_version` changes
        whenever somebody saves the image's annotations. `Category.aliases` are further names under
        which boxes of the category may be stored.

        Raises:
            ToolError: when most boxes would be dropped, because their labels are unknown.
        """
        ...

    def merge(
        self,
        project: str,
        plans: Mapping[str, Plan],
        *,
        sizes: Mapping[str, tuple[int, int]],
        keep: Callable[[Replaced], None] | None,
        progress: Progress = no_progress,
    ) -> Iterable[Applied]:
        """Change source annotations, image by image, yielding what became of each.

        Whatever else the annotations hold stays as it is. Just before an image is written, it is
        read and planned once more.

        Args:
            project: the annotated project.
            plans: tool id -> what to change.
            sizes: tool id -> upright (width, height) in pixels that plans think in.
            keep: called with what is about to be replaced, before each write; None: write nothing,
                only report what would happen.
        """
        ...

    def restore(
        self, project: str, replaced: Sequence[tuple[Replaced, str | None]]
    ) -> Mapping[str, str]:
        """Write back what a merge replaced, where nobody has saved since.

        Args:
            project: the annotated project.
            replaced: with the version that the merge left (`Applied.version`).

        Returns:
            Tool id -> why an image was left as it is; images that were restored are not in it.
        """
        ...
