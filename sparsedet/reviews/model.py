"""Review types, and how boxes are compared. XYXY in absolute pixels throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sparsedet.annotations import XYXY

MOVED_PIXELS = 1.0
"""A box counts as edited when an edge moved by more than this."""

_LONGEST_REVIEW = 30 * 24 * 3600.0
"""Seconds; longer review times reported by a tool are not working time."""

AnnotationRule = Literal["ground-truth-first", "newest", "union", "majority"]
"""Which annotation counts if several people annotated or reviewed an image: the starred one, else
the newest with boxes; the newest; the boxes of all; the boxes drawn by more than half. A starred
annotation also decides for `union` and `majority`."""

Origin = Literal["human", "accepted", "edited", "sampled"]
"""Who added a box to the annotations: a person, a reviewer who accepted a mined box, or the sample
of a lot."""


@dataclass(frozen=True, slots=True)
class ReviewedRegion:
    """A box as a reviewer was shown it, or left it."""

    region_id: str
    category: str
    """Category name."""
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image, whose size is `PushedImage.size`."""
    unsure: bool = False
    """Whether the reviewer left it undecided, by the note `unsure`."""
    content: tuple[Mapping[str, Any], ...] = field(default=(), compare=False, repr=False)
    """The box in the tool's own JSON, if an adapter needs that to write it; else empty."""


@dataclass(frozen=True, slots=True)
class Review:
    """One person's submitted review of one image."""

    tool_id: str
    """The image's id in the source project, as in `Image.tool_id`."""
    review_id: str
    """The tool's stable id of the review."""
    shown: Mapping[str, ReviewedRegion]
    """Region id -> the box as the reviewer was shown it, people's and mined ones. Boxes missing
    from `regions` were deleted; boxes only in `regions` were drawn by the reviewer; boxes in
    neither were not judged."""
    regions: tuple[ReviewedRegion, ...]
    """Every box in the submitted review."""
    reviewer: str | None = None
    seconds: float | None = None
    """The reviewer's time on the image, in seconds."""
    complete: bool = False
    """Whether the reviewer marked the image: every object has a box."""
    offer: str = ""
    """What was reviewed: reviews of one offer were made in parallel, of the same boxes."""
    saved_at: str = ""
    """ISO 8601 with time zone; orders an image's reviews. Empty: unknown, the oldest."""
    ground_truth: bool = False
    """Whether somebody starred it."""
    skipped: bool = False
    """Whether the reviewer skipped the image, judging nothing."""
    partial: bool = False
    """Whether the reviewer only saw crops, which says nothing about completeness."""
    sampled: bool = False
    """Whether the boxes were accepted by a lot's sample instead of a person. It counts only where
    no person decided."""
    complete_classes: frozenset[str] = frozenset()
    """Categories of which the reviewer said that every object of the image has a box."""


def review_seconds(value: object) -> float | None:
    """Return a review's time in seconds as reported by a tool; None if implausible."""
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
    """Who saved it last and when, for messages."""
    labels: frozenset[str] | None = None
    """The project's categories; boxes of others are left out. None: any."""
    blocked: str = ""
    """Why it can't be written now, such as somebody's unsaved changes; empty: it can."""
    complete_classes: frozenset[str] = frozenset()
    """Categories that are marked as complete by themselves."""

    @property
    def holder(self) -> str:
        """Name of the annotation that counts; empty if the image has only one set of boxes."""
        return holder_of(self.version)


def holder_of(version: str | None) -> str:
    """Return the annotation's name in an `Image.tool_version`: the part before an `@`."""
    return version.partition("@")[0] if version and "@" in version else ""


def moved(first: XYXY, second: XYXY) -> bool:
    """Return whether two XYXY boxes differ by more than `MOVED_PIXELS` at an edge."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) > MOVED_PIXELS


def same_box(first: ReviewedRegion, second: ReviewedRegion) -> bool:
    """Return whether two boxes have the same category and position."""
    return first.category == second.category and not moved(first.xyxy, second.xyxy)


def scaled(xyxy: XYXY, size: tuple[int, int] | None, to: tuple[int, int] | None) -> XYXY:
    """Rescale a box from an image of `size` (width, height) to another size of that image."""
    if size is None or to is None or size == to:
        return xyxy
    across, down = to[0] / size[0], to[1] / size[1]
    return xyxy[0] * across, xyxy[1] * down, xyxy[2] * across, xyxy[3] * down


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) can be of one image, resized and rounded to pixels."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= size[0] + size[1]
