"""The port: what an annotation tool must offer so that the loop can run against it.

Adapters live in `integrations/` or in other people's packages, and are found through the entry
point group `sparsedet.integrations`; the core never imports one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from sparsedet.annotations import XYXY, Dataset
from sparsedet.errors import ToolError
from sparsedet.mining.mined import MinedBox

ENTRY_POINTS = "sparsedet.integrations"

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` while an adapter works."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push left in the annotation tool."""

    review_project: str
    """The tool's id of the project in which people review."""
    url: str
    """Where a person opens it."""
    model_version: str
    images: int
    """Images of this push that are up for review."""
    boxes: int
    """Mined boxes on them."""
    created: int
    """Predictions that this call made; 0 when everything stood there already."""


@dataclass(frozen=True, slots=True)
class ReviewedRegion:
    """A box as it stands in a submitted review."""

    region_id: str
    category: str
    """The name of its category."""
    xyxy: XYXY
    """Absolute pixels of the upright image."""


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """One image that a person has reviewed and submitted."""

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    regions: tuple[ReviewedRegion, ...]
    """Every box that the submitted review holds; a mined box that is absent was rejected."""
    reviewer: str | None
    seconds: float | None
    """Time that the reviewer spent on the image."""


class AnnotationTool(Protocol):
    """A connection to an annotation tool."""

    def pull(self, project: str, images: Path, progress: Progress = no_progress) -> Dataset:
        """Read a project's annotations, downloading its images into the folder `images`.

        Images that are there already are not downloaded again. `Image.tool_id` and `Box.tool_id`
        carry the tool's own ids.
        """
        ...

    def push(
        self,
        project: str,
        dataset: Dataset,
        mined: Sequence[MinedBox],
        *,
        model_version: str,
        progress: Progress = no_progress,
    ) -> PushReport:
        """Put mined boxes up for review beside the annotations; a second call changes nothing."""
        ...

    def reviewed(self, review_project: str) -> Sequence[ReviewedImage]:
        """Return every image of a review project that a person has submitted."""
        ...


class Integration(Protocol):
    """What an entry point of the group `sparsedet.integrations` names."""

    def __call__(self, url: str | None = None) -> AnnotationTool:
        """Connect; address and key come from the tool's own environment variables or a prompt."""
        ...


def load_integration(name: str) -> Integration:
    """Return the integration that a package registered under `name`.

    Raises:
        ToolError: listing the names that are installed.
    """
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise ToolError(
            f"no integration named {name!r} is installed (found: {', '.join(sorted(found)) or '-'})"
        )
    integration: Integration = found[name].load()
    return integration
