"""The port: what an annotation tool must implement for the loop to run against it.

Adapters live in `integrations/` or in third-party packages; `sparsedet.plugins` finds them, and the
core never imports one. They read and write; `sparsedet.reviews` decides what reviews mean.
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
"""Outcome of a mined box. Withdrawn: removed before anybody judged it. Sampled: accepted by its
lot's sample, seen by nobody."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def shown_outcomes(sampled: int) -> tuple[Outcome, ...]:
    """Return the outcomes that tables have a column for.

    Args:
        sampled: number of boxes with that outcome, usually none.
    """
    return tuple(outcome for outcome in OUTCOMES if sampled or outcome != "sampled")


Shapes = Literal["skip", "boxes"]
"""How annotations other than rectangles are read: left out, or as their bounding boxes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of a project that a workspace works on."""

    view: int | None = None
    """Number of a view of the tool, to use only its images; None: all."""
    only: tuple[str, ...] = ()
    """Labels to use; empty: all."""
    annotators: tuple[str, ...] = ()
    """Mail addresses or numbers of the annotators to use; empty: all."""
    skip_skipped: bool = False
    """Leave out images that were only skipped."""

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
    """How an annotation tool is read, and for which workspace."""

    complete_control: str | None = None
    """The control that marks an image as complete; None: `sparsedet_complete`."""
    annotations: AnnotationRule = "ground-truth-first"
    """Which annotation counts if several people annotated an image."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Stored label -> current name; empty: its boxes are left out."""
    control: str | None = None
    """The control for boxes; None: the only one of each image."""
    shapes: Shapes = "skip"
    """How polygons and the like are read."""
    choice: Choice = EVERYTHING
    """The part of the project to read."""
    owner: str | None = None
    """Identifies the workspace in marks on the server, so that two workspaces don't unknowingly
    share a project; None: no marks are set or respected."""
    images: ImageOptions = field(default_factory=ImageOptions)
    """How images are fetched."""
    skip_share: float | None = 0.2
    """Maximum share of unreadable tasks that a pull leaves out, and at least one; None: the first
    of them is an error."""
    named_url: bool = False
    """Whether the user named the server in this call; otherwise its address comes from a file, and
    a key for another server must not be sent there."""
    max_answer_megabytes: float = 1000.0
    """Maximum size of a server's answer."""
    max_answer_seconds: float = 1800.0
    """Maximum time for an answer."""


DEFAULT_OPTIONS = ToolOptions()


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """Summary of a project."""

    title: str
    images: int
    labels: tuple[str, ...]
    has_complete_control: bool
    """Whether people can mark images as complete in it."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a merge replaces in the source, for `AnnotationTool.restore`."""

    tool_id: str
    content: Any
    """The adapter's own JSON: the image's former annotations."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of a merge for the source annotations of one image."""

    tool_id: str
    state: SourceState | None
    """The state before; None: the project no longer has the image."""
    changes: Changes
    version: str | None = None
    """`Image.tool_version` of the source now; None if nothing was written."""
    overtaken: str = ""
    """If somebody saved the image at the same moment: who, when and what to check; else empty."""


Plan = Callable[[SourceState], Changes]
"""Returns the changes for an image, given the current state of its source."""


class AnnotationTool(Protocol):
    """A connection to an annotation tool."""

    @property
    def url(self) -> str:
        """The tool's address, without credentials."""
        ...

    @property
    def push_modes(self) -> Mapping[ModeName, PushMode]:
        """The supported push modes, the default first."""
        ...

    def summary(self, project: str) -> ProjectSummary:
        """Return a summary of a project, without reading its annotations.

        Raises:
            ToolError: when it doesn't exist, is itself a review project, or boxes can't be pulled
                from it.
        """
        ...

    def image_url(self, project: str, tool_id: str) -> str:
        """Return the address at which a person opens an image of a project."""
        ...

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project's annotations, downloading its images into the folder `images`.

        Cached images are not downloaded again. `Image.tool_id` and `Box.tool_id` are the tool's own
        ids, which are stable across pulls; `Image.tool_version` changes whenever somebody saves the
        image's annotations. `Category.aliases` are further labels under which the category's boxes
        may be stored.

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
        """Change source annotations, image by image, yielding the result for each.

        All other content of the annotations is preserved. Each image is read and planned again just
        before it is written.

        Args:
            project: the annotated project.
            plans: tool id -> planned changes.
            sizes: tool id -> upright (width, height) in pixels that plans refer to.
            keep: called with what is about to be replaced, before each write; None: dry run, write
                nothing.
        """
        ...

    def restore(
        self, project: str, replaced: Sequence[tuple[Replaced, str | None]]
    ) -> Mapping[str, str]:
        """Restore what a merge replaced, if nobody has saved since.

        Args:
            project: the annotated project.
            replaced: with the version after the merge (`Applied.version`).

        Returns:
            Tool id -> why an image was left as it is; restored images are not included.
        """
        ...
