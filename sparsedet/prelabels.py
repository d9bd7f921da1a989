"""The port to pre-labels: predictions of a model on images that nobody has annotated yet.

Optional: `plugins.load_prelabel_integration` finds the integrations that can. Pre-labels help
people who annotate new images from scratch; boxes that annotators missed are pushed for review.
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
    """One box of a model."""

    label: str
    """The class's name, as the model has it."""
    score: float
    """Probability of the class, 0 to 1."""
    xyxy: XYXY
    """Left, top, right, bottom in absolute pixels of the upright image."""


class PrelabelModel(Protocol):
    """A model that finds pre-labels."""

    @property
    def run_id(self) -> str:
        """Names the model."""
        ...

    @property
    def settings(self) -> str:
        """What else its boxes depend on: with other settings it counts as another model."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that are wanted of it."""
        ...

    def find(
        self, files: Sequence[Path], classes: Collection[str]
    ) -> Iterable[Sequence[Prelabel] | AnnotationError]:
        """Yield what it finds in each image file; the error where one can't be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class PrelabelReport:
    """What became of the images of a project."""

    url: str
    """Where people see them."""
    model_version: str
    """Name of the predictions in the tool."""
    images: int
    """That have got predictions now; of a dry run: that would be looked at."""
    kept: int
    """That had those of this model version already."""
    annotated: int
    """That people have annotated, or begun with: they are left alone."""
    replaced: int
    """Predictions of ours from other models that were deleted."""
    unread: int
    """That can't be read, most often because they can't be had."""
    boxes: Mapping[str, int] = field(default_factory=dict)
    """New boxes by the project's label."""
    missing: tuple[str, ...] = ()
    """Classes that are left out because the project has no label for them."""
    shown_instead: str = ""
    """The model version that the tool fills images with, where people chose another than ours."""


@dataclass(frozen=True, slots=True)
class PrelabelUndo:
    """What was taken back."""

    predictions: int
    kept: int
    """Predictions of ours that stay, on images that people have annotated or begun with."""


class PrelabelTool(Protocol):
    """An annotation tool that can show predictions on images without annotation."""

    def prelabel(
        self,
        project: str,
        model: PrelabelModel,
        *,
        cache: Path | None = None,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> PrelabelReport:
        """Put a model's boxes on every image of a project that nobody has annotated.

        Repeating it changes nothing, and completes what was interrupted. Predictions that earlier
        calls put there are replaced; those of others stay.

        Args:
            project: its number or name in the tool.
            model: finds the boxes.
            cache: image folder of a workspace of the project, whose images are not fetched again.
            dry_run: only work out the report; no image is looked at.
            progress: called after every image.

        Raises:
            ToolError: when the project has a label for none of the classes, too many images can't
                be read, or its layout is one that can't be pre-labelled.
        """
        ...

    def undo_prelabels(
        self, project: str, *, dry_run: bool = False, progress: Progress = no_progress
    ) -> PrelabelUndo:
        """Delete what `prelabel` put on images that nobody has annotated since."""
        ...


class PrelabelIntegration(Protocol):
    """An integration whose tool takes pre-labels."""

    def __call__(
        self, url: str | None = None, options: ToolOptions = DEFAULT_OPTIONS
    ) -> PrelabelTool:
        """Connect; as `plugins.Integration`."""
        ...
