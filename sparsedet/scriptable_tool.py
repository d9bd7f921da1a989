"""An extension of the port for demos and tests: playing people in an annotation tool."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sparsedet.annotations import Dataset
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import ReviewedRegion
from sparsedet.sheets import Sheet
from sparsedet.tool import AnnotationTool


class OpenReview(Protocol):
    """An image that waits for its review, with what the reviewer sees."""

    @property
    def tool_id(self) -> str:
        """The image's id in the source project, as in `Image.tool_id`."""
        ...

    @property
    def regions(self) -> Sequence[ReviewedRegion]:
        """All boxes on offer."""
        ...

    @property
    def scores(self) -> Mapping[str, float]:
        """Region id -> score of the mined boxes; excludes people's own boxes."""
        ...

    @property
    def sheet(self) -> Sheet | None:
        """The layout, if it is a contact sheet: then `regions` are in pixels of the sheet, and
        `tool_id` is its name."""
        ...

    @property
    def judge_only(self) -> bool:
        """Whether the reviewer may stop after judging the mined boxes."""
        ...

    def submit(
        self, regions: Sequence[ReviewedRegion], *, seconds: float = 0.0, complete: bool = False
    ) -> None:
        """Submit the review of the image, in which `regions` remain.

        `seconds` is the time spent; `complete` marks that every object of the image has a box.
        """
        ...


class ScriptableTool(AnnotationTool, Protocol):
    """An annotation tool whose projects a script can set up and review, for demos and tests."""

    def set_up_project(
        self, title: str, dataset: Dataset, images: Path, progress: Progress = no_progress
    ) -> str:
        """Create a project of the images and their annotations; return its id."""
        ...

    def open_reviews(self, review_project: str) -> Sequence[OpenReview]:
        """Return the images, or sheets, of a review project that nobody has submitted yet."""
        ...
