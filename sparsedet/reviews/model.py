"""What was reviewed, and how boxes are compared. XYXY in absolute pixels throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sparsedet.annotations import XYXY

MOVED_PIXELS = 1.0
"""A box counts as edited when an edge moved by more than this."""

_LONGEST_REVIEW = 30 * 24 * 3600.0
"""Seconds; what a tool says beyond that is no working time."""

AnnotationRule = Literal["ground-truth-first", "newest", "union", "majority"]
"""What counts where several people annotated or reviewed one image: the starred annotation, else
the newest that has boxes; the newest; the boxes of all; the boxes that more than half drew. A
starred one also decides for `union` and `majority`."""

Origin = Literal["human", "accepted", "edited", "sampled"]
"""Who put a box into the annotations: a person, a reviewer who took over a mined box, or the sample
of a lot of mined boxes."""


@dataclass(frozen=True, slots=True)
class ReviewedRegion:
    """A box as a reviewer was shown it, or left it."""

    region_id: str
    category: str
    """The name of its category."""
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image, which has the size of `PushedImage.size`."""
    unsure: bool = False
    """The reviewer left it undecided, by a note that says `unsure`."""
    content: tuple[Mapping[str, Any], ...] = field(default=(), compare=False, repr=False)
    """The box as JSON of the tool's own, where an adapter needs that to write it; else empty."""


@dataclass(frozen=True, slots=True)
class Review:
    """What one person submitted for one image."""

    tool_id: str
    """The image's id in the source project, as `Image.tool_id` has it."""
    review_id: str
    """The tool's own id of the review; the same whenever it is read."""
    shown: Mapping[str, ReviewedRegion]
    """Region id -> the box as the reviewer was shown it, people's and mined ones. What is in it and
    not in `regions` was deleted; what is in neither was not judged; what is only in `regions` was
    drawn by the reviewer."""
    regions: tuple[ReviewedRegion, ...]
    """Every box that the submitted review holds."""
    reviewer: str | None = None
    seconds: float | None = None
    """Time that the reviewer spent on the image."""
    complete: bool = False
    """The reviewer said that every object of the image has a box."""
    offer: str = ""
    """What was reviewed: reviews of one offer were made side by side, of the same boxes."""
    saved_at: str = ""
    """ISO 8601 with time zone; orders the reviews of an image. Empty: unknown, the oldest."""
    ground_truth: bool = False
    """Somebody starred it."""
    skipped: bool = False
    """The reviewer skipped the image: nothing is judged."""
    partial: bool = False
    """The reviewer saw crops of the image only: whether it is complete is not said."""
    sampled: bool = False
    """No person's word: the boxes were accepted by the sample of their lot. It counts where no
    person said anything."""
    complete_classes: frozenset[str] = frozenset()
    """Categories of which the reviewer said that every object of the image has a box."""


def review_seconds(value: object) -> float | None:
    """Return the time in seconds that a tool gives of a review; None where it can't be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST_REVIEW else None


@dataclass(frozen=True, slots=True)
class SourceState:
    """An image's annotations in the annotated project."""

    tool_id: str
    boxes: Mapping[str, ReviewedRegion]
    """By region id."""
    complete: bool = False
    version: str | None = None
    """As `Image.tool_version`."""
    saved: str = ""
    """Who saved it last and when, for a message."""
    labels: frozenset[str] | None = None
    """The categories that the project has; boxes of others are left out. None: any."""
    blocked: str = ""
    """Why nothing may be written now, such as somebody's unsaved changes; empty: it may."""
    complete_classes: frozenset[str] = frozenset()
    """Categories that are marked as complete by themselves."""

    @property
    def holder(self) -> str:
        """Names the annotation that counts; empty where an image has only one set of boxes."""
        return holder_of(self.version)


def holder_of(version: str | None) -> str:
    """Return what names the annotation in an `Image.tool_version`: what stands before an `@`."""
    return version.partition("@")[0] if version and "@" in version else ""


def moved(first: XYXY, second: XYXY) -> bool:
    """Return whether two XYXY boxes in pixels are apart by more than `MOVED_PIXELS` at an edge."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) > MOVED_PIXELS


def same_box(first: ReviewedRegion, second: ReviewedRegion) -> bool:
    """Return whether two boxes have one category and place."""
    return first.category == second.category and not moved(first.xyxy, second.xyxy)


def scaled(xyxy: XYXY, size: tuple[int, int] | None, to: tuple[int, int] | None) -> XYXY:
    """Return a box of an image of `size` (width, height) on the same image of another size."""
    if size is None or to is None or size == to:
        return xyxy
    across, down = to[0] / size[0], to[1] / size[1]
    return xyxy[0] * across, xyxy[1] * down, xyxy[2] * across, xyxy[3] * down
