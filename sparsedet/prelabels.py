"""The port to pre-labels: model predictions on images that nobody has annotated yet.

Optional: `plugins.load_prelabel_integration` finds the integrations that support it. Pre-labels
help people who annotate new images from scratch; missed boxes are pushed for review instead.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from sparsedet.annotations import XYXY
from sparsedet.errors import AnnotationError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions


class Prelabel(NamedTuple):
    """A predicted box."""

    label: str
    """Class name, as in the model."""
    score: float
    """Probability of the class, 0 to 1."""
    xyxy: XYXY
    """Left, top, right, bottom in absolute pixels of the upright image."""


class PrelabelModel(Protocol):
    """A model that produces pre-labels."""

    @property
    def run_id(self) -> str:
        """Identifies the model."""
        ...

    @property
    def settings(self) -> str:
        """Settings that its boxes depend on: with other settings it counts as another model."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes to predict."""
        ...

    def find(
        self, files: Sequence[Path], classes: Collection[str]
    ) -> Iterable[Sequence[Prelabel] | AnnotationError]:
        """Yield the predictions for each image file; the error if one can't be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class PrelabelReport:
    """The result of pre-labelling a project's images."""

    url: str
    """Where people see them."""
    model_version: str
    """Name of the predictions in the tool."""
    images: int
    """Images that got predictions; in a dry run: that would be processed."""
    kept: int
    """Images that already had those of this model version."""
    annotated: int
    """Images left alone, since people have annotated them, or started to."""
    replaced: int
    """Deleted predictions of our other models."""
    unread: int
    """Unreadable images, usually because they are unavailable."""
    boxes: Mapping[str, int] = field(default_factory=dict)
    """New boxes by project label."""
    missing: tuple[str, ...] = ()
    """Classes left out because the project has no label for them."""
    shown_instead: str = ""
    """The tool's selected model version, if people chose another than ours."""


@dataclass(frozen=True, slots=True)
class PrelabelUndo:
    """What was removed."""

    predictions: int
    kept: int
    """Predictions of ours that stay, on images with annotations or drafts."""


class PrelabelTool(Protocol):
    """An annotation tool that can show predictions on unannotated images."""

    def prelabel(
        self,
        project: str,
        model: PrelabelModel,
        *,
        cache: Path | None = None,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PrelabelReport:
        """Add a model's boxes to every unannotated image of a project.

        Repeating it changes nothing, or completes an interrupted call. Predictions of earlier calls
        are replaced; others stay.

        Args:
            project: its number or name in the tool.
            model: produces the boxes.
            cache: image folder of a workspace of the project, to avoid fetching images again.
            dry_run: only compute the report; no image is read.
            progress: called after every image.

        Raises:
            ToolError: when the project has labels for none of the classes, too many images are
                unreadable, or its layout doesn't support pre-labels.
        """
        ...

    def undo_prelabels(
        self, project: str, *, dry_run: bool = False, progress: Progress = no_progress
    ) -> PrelabelUndo:
        """Delete the predictions of `prelabel` on images that are still unannotated."""
        ...


class PrelabelIntegration(Protocol):
    """An integration whose tool supports pre-labels."""

    def __call__(
        self, url: str | None = None, options: ToolOptions = DEFAULT_OPTIONS
    ) -> PrelabelTool:
        """Connect; as `plugins.Integration`."""
        ...
