"""Faults in annotations, and how each was handled.

Reading is strict by default: the first fault is an error. With non-strict `Faults`, whatever can
be left out or repaired safely is, and all faults are known at the end.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Literal, NoReturn

from sparsedet.errors import AnnotationError, SparseDetError

logger = logging.getLogger(__name__)

MAX_LEFT_OUT = 0.2
"""Maximum share of images or boxes to leave out: with more, the data is not what it seems."""
_SHOWN = 5
"""Maximum number of positions named per line and kind."""

Unit = Literal["image", "box", "class", "file"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault in annotations."""

    name: str
    """Machine-readable name."""
    what: str
    """The fault, in the plural: `boxes without area`."""
    remedy: str
    """How it is handled: `left out`, `renumbered`, ..."""
    loses: Unit | None = None
    """The unit left out for each; None: nothing is."""


BOX_WITHOUT_AREA = FaultKind("box-without-area", "boxes without area", "left out", "box")
BOX_OUTSIDE = FaultKind("box-outside", "boxes outside of their image", "left out", "box")
BOX_CLIPPED = FaultKind("box-over-edge", "boxes that extend beyond their image", "clipped")
BOX_BROKEN = FaultKind("box-broken", "entries without a valid box", "left out", "box")
NO_BOX = FaultKind("no-box", "shapes without a box: points, lines, tags", "left out")
BOX_FROM_MASK = FaultKind("box-from-mask", "annotations without bbox", "box taken from the mask")
BOX_REPEATED = FaultKind("box-repeated", "duplicate boxes", "left out of copies")
ORPHAN = FaultKind("orphan", "annotations of unlisted images", "left out", "box")
UNKNOWN_CLASS = FaultKind("unknown-class", "boxes of unlisted classes", "left out", "box")
ID_REPEATED = FaultKind("id-repeated", "duplicate ids", "renumbered")
ID_NO_INTEGER = FaultKind("id-no-integer", "non-integer ids", "renumbered")
CROWD_MARK = FaultKind("crowd-mark", "values of iscrowd other than 0 and 1", "read as 0")
AREA_BROKEN = FaultKind("area-broken", "areas that are not a number", "area of the box used")
NUMBER_AS_TEXT = FaultKind("number-as-text", "boxes with numbers as text", "read as numbers")
IMAGE_BROKEN = FaultKind("image-broken", "invalid image entries", "left out", "image")
IMAGE_ID_REPEATED = FaultKind(
    "image-id-repeated",
    "images with duplicate ids, whose boxes are ambiguous",
    "left out",
    "image",
)
IMAGE_TWICE = FaultKind("image-twice", "files listed as two images", "merged")
IMAGE_IN_TWO_SPLITS = FaultKind(
    "image-in-two-splits", "images in two splits", "taken from the first"
)
IMAGE_MISSING = FaultKind("image-missing", "missing images", "left out", "image")
IMAGE_UNREADABLE = FaultKind("image-unreadable", "unreadable images", "left out", "image")
IMAGE_AMBIGUOUS = FaultKind(
    "image-ambiguous", "images that share a label file", "left out", "image"
)
SIZE_OFF = FaultKind("size-off", "images of a slightly different size", "the file's size used")
SIZE_WRONG = FaultKind(
    "size-wrong", "images whose size contradicts the annotations", "left out", "image"
)
SIZE_UNSAID = FaultKind("size-unsaid", "images without width and height", "the file's size used")
NAME_FOREIGN = FaultKind(
    "name-foreign", "file names that leave the image folder", "folders dropped"
)
CLASS_BROKEN = FaultKind("class-broken", "classes without a name", "left out", "class")
CLASS_NUMERIC = FaultKind("class-numeric", "class names that are numbers", "read as text")
CLASS_TWICE = FaultKind("class-twice", "duplicate classes", "merged")
CLASS_UNUSED_ROOT = FaultKind(
    "class-unused-root", "root classes without boxes, as written by Roboflow", "left out"
)
CLASS_ALIKE = FaultKind(
    "class-alike", "class names that differ only in case, spaces or Unicode form", "kept"
)
LABELS_WITHOUT_IMAGE = FaultKind(
    "labels-without-image", "label files without an image", "left out", "image"
)
LABELS_BROKEN = FaultKind("labels-broken", "unreadable label files", "left out", "image")
LABELS_NOWHERE = FaultKind("labels-nowhere", "splits without label files", "kept, without boxes")


@dataclass(frozen=True, slots=True)
class Fault:
    """One occurrence of a fault."""

    kind: FaultKind
    where: str
    """`annotations id 7`, or a file and its line."""
    detail: str
    """The complete message, as in an error."""
    image_id: int | None = None
    """For boxes: their image, as in the dataset."""


class FaultyEntryError(AnnotationError):
    """A known kind of fault in an entry."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Faults:
    """The faults of one source.

    Args:
        source: its name in messages.
        strict: whether the first fault is an error.
        files: whether to check images even if annotations can be read without: missing ones are
            left out, sizes are compared.
        keeps_unreadable: whether to keep unreadable images if annotations give their size, for
            callers that skip and count them when decoding.
    """

    def __init__(
        self,
        source: object = "",
        *,
        strict: bool = False,
        files: bool = True,
        keeps_unreadable: bool = False,
    ) -> None:
        self.source = str(source)
        self.strict = strict
        self.files = files
        self.keeps_unreadable = keeps_unreadable
        self.found: list[Fault] = []
        self.images = 0
        """Number of usable images in the source, over all its splits."""
        self.boxes = 0

    def note(
        self, kind: FaultKind, where: str, message: str, *, image_id: int | None = None
    ) -> None:
        """Record a fault; see `Fault`.

        Raises:
            AnnotationError: with the message, when reading is strict.
        """
        if self.strict:
            raise FaultyEntryError(kind, message)
        self.found.append(Fault(kind, where, message, image_id))

    @contextmanager
    def left_out(self, kind: FaultKind, where: str) -> Iterator[None]:
        """Leave out what the block reads if it is faulty.

        Args:
            kind: of errors that don't have one.
            where: what is left out.
        """
        try:
            yield
        except SparseDetError as error:
            # Not only annotations may be faulty, but also the file that holds them.
            if self.strict:
                raise
            known = error.kind if isinstance(error, FaultyEntryError) else kind
            self.found.append(Fault(known, where, str(error)))

    def kept(self, images: int, boxes: int) -> None:
        """Count usable items, as the denominator for the share left out."""
        self.images += images
        self.boxes += boxes

    def by_kind(self) -> dict[FaultKind, list[Fault]]:
        """Return the faults by kind, in order of first occurrence."""
        grouped: dict[FaultKind, list[Fault]] = {}
        for fault in self.found:
            grouped.setdefault(fault.kind, []).append(fault)
        return grouped

    def lines(self) -> list[str]:
        """Return one line per kind: how many, where, and how they were handled."""
        return [
            f"{kind.what}: {len(found)} ({places(found)}), {kind.remedy}"
            for kind, found in self.by_kind().items()
        ]

    def lost(self, unit: Unit) -> int:
        """Return the number of images or boxes left out."""
        return sum(fault.kind.loses == unit for fault in self.found)

    def check(self) -> None:
        """Check that not too much was left out; a single one is fine if others remain.

        Raises:
            AnnotationError: listing all kinds of faults.
        """
        kept: Mapping[Unit, int] = {"image": self.images, "box": self.boxes}
        for unit, left in kept.items():
            lost = self.lost(unit)
            if lost and (lost > max(1, MAX_LEFT_OUT * (lost + left)) or lost >= left):
                self.refuse(
                    f"{lost} of {lost + left} {'images' if unit == 'image' else 'boxes'} would be "
                    f"left out, more than {MAX_LEFT_OUT:.0%}"
                )

    def refuse(self, reason: str) -> NoReturn:
        """Raise an error that lists all kinds of faults, with the first of the most frequent kind.

        A single fault is reported in full.
        """
        if len(self.found) == 1:
            raise AnnotationError(self.found[0].detail)
        listed = "; ".join(self.lines())
        # The kind alone does not say what to change.
        lost = [found for kind, found in self.by_kind().items() if kind.loses]
        first = f" (first: {max(lost, key=len)[0].detail})" if lost else ""
        raise AnnotationError(
            f"{self.source}: {reason}: {listed}{first}. `sparsedet inspect` lists all faults, and "
            "with --fix writes a repaired copy"
        )

    def warn(self) -> None:
        """Log one warning per kind."""
        for line in self.lines():
            _warn(self.source, line)

    def as_json(self) -> list[dict[str, Any]]:
        """Return all faults by kind, as JSON."""
        return [
            {
                "kind": kind.name,
                "what": kind.what,
                "remedy": kind.remedy,
                "count": len(found),
                "places": [{"where": fault.where, "detail": fault.detail} for fault in found],
            }
            for kind, found in self.by_kind().items()
        ]


# Two splits of a folder may share faults: warn once.
@cache
def _warn(source: str, line: str) -> None:
    logger.warning("%s: %s", source, line)


def strictly(source: object = "") -> Faults:
    """Return faults that raise at the first one."""
    return Faults(source, strict=True)


def places(found: Sequence[Fault], shown: int = _SHOWN) -> str:
    """Return the first positions: `annotations id 1, 2, 3, and 4 more`."""
    texts = []
    for prefix, same in groupby((fault.where for fault in found[:shown]), _prefix):
        numbers = [where.removeprefix(prefix) for where in same]
        texts.append(prefix + ", ".join(numbers))
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return "; ".join(texts) + more


def _prefix(where: str) -> str:
    """Return the part before an id, which several positions share."""
    before, mark, _ = where.rpartition(" id ")
    return before + mark
