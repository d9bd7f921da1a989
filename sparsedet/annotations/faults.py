"""What is wrong in annotations that were read, and what was done about it.

Reading is strict by default: the first fault is an error. With `Faults` that are not strict, what
can be left out or repaired safely is, and all faults are known at the end.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Literal, NoReturn

from sparsedet.errors import AnnotationError

logger = logging.getLogger(__name__)

MAX_LEFT_OUT = 0.2
"""Share of the images or boxes that may be left out: with more, the data is not what it seems."""
_SHOWN = 5
"""Places of a kind that are named in one line."""

Unit = Literal["image", "box", "class", "file"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A way in which annotations can be wrong."""

    name: str
    """For machines."""
    what: str
    """What is wrong, in the plural: `boxes without area`."""
    remedy: str
    """What is done about it: `left out`, `renumbered`, ..."""
    loses: Unit | None = None
    """What is left out for each; None: everything stays."""


BOX_WITHOUT_AREA = FaultKind("box-without-area", "boxes without area", "left out", "box")
BOX_OUTSIDE = FaultKind("box-outside", "boxes outside of their image", "left out", "box")
BOX_CLIPPED = FaultKind("box-over-edge", "boxes over the edge of their image", "clipped")
BOX_BROKEN = FaultKind("box-broken", "entries that hold no box", "left out", "box")
NO_BOX = FaultKind("no-box", "shapes without a box: points, lines, tags", "left out")
BOX_FROM_MASK = FaultKind("box-from-mask", "annotations without bbox", "box taken from the mask")
BOX_REPEATED = FaultKind("box-repeated", "boxes that are there twice", "left out of copies")
ORPHAN = FaultKind("orphan", "annotations of an image that is not listed", "left out", "box")
UNKNOWN_CLASS = FaultKind("unknown-class", "boxes of a class that is not listed", "left out", "box")
ID_REPEATED = FaultKind("id-repeated", "ids that are used twice", "renumbered")
ID_NO_INTEGER = FaultKind("id-no-integer", "ids that are no integers", "renumbered")
CROWD_MARK = FaultKind("crowd-mark", "values of iscrowd other than 0 and 1", "taken for 0")
AREA_BROKEN = FaultKind("area-broken", "areas that are no number", "that of the box taken")
NUMBER_AS_TEXT = FaultKind("number-as-text", "boxes with numbers as text", "read as numbers")
IMAGE_BROKEN = FaultKind("image-broken", "entries that describe no image", "left out", "image")
IMAGE_ID_REPEATED = FaultKind(
    "image-id-repeated",
    "images that share an id, so that their boxes are unclear",
    "left out",
    "image",
)
IMAGE_TWICE = FaultKind("image-twice", "files that are listed as two images", "taken as one")
IMAGE_IN_TWO_SPLITS = FaultKind(
    "image-in-two-splits", "images that are in two splits", "taken from the first"
)
IMAGE_MISSING = FaultKind("image-missing", "images that are not there", "left out", "image")
IMAGE_UNREADABLE = FaultKind("image-unreadable", "images that can't be read", "left out", "image")
IMAGE_AMBIGUOUS = FaultKind(
    "image-ambiguous", "images that share their labels with another one", "left out", "image"
)
SIZE_OFF = FaultKind("size-off", "images of a slightly other size", "the file's size taken")
SIZE_WRONG = FaultKind(
    "size-wrong", "images of another size than the annotations say", "left out", "image"
)
SIZE_UNSAID = FaultKind("size-unsaid", "images without width and height", "the file's size taken")
NAME_FOREIGN = FaultKind(
    "name-foreign", "file names that lead out of the image folder", "their folders dropped"
)
CLASS_BROKEN = FaultKind("class-broken", "classes without a name", "left out", "class")
CLASS_NUMERIC = FaultKind("class-numeric", "class names that are numbers", "read as text")
CLASS_TWICE = FaultKind("class-twice", "classes that are listed twice", "taken as one")
CLASS_UNUSED_ROOT = FaultKind(
    "class-unused-root", "root classes without boxes, as Roboflow writes them", "left out"
)
CLASS_ALIKE = FaultKind("class-alike", "class names that differ by case or spaces only", "kept")
LABELS_WITHOUT_IMAGE = FaultKind(
    "labels-without-image", "label files without image", "left out", "image"
)
LABELS_BROKEN = FaultKind("labels-broken", "label files that can't be read", "left out", "image")
LABELS_NOWHERE = FaultKind("labels-nowhere", "splits without any label file", "kept, without boxes")


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where annotations are wrong."""

    kind: FaultKind
    where: str
    """`annotations id 7`, or a file and its line."""
    detail: str
    """The whole message, as an error would have it."""
    image_id: int | None = None
    """Of a box: the image that it is on, as the dataset has it."""


class FaultyEntryError(AnnotationError):
    """An entry is wrong in a known way."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Faults:
    """The faults of one source.

    Args:
        source: names it in messages.
        strict: whether the first fault is an error.
        files: whether images are looked at where annotations can be read without: missing ones
            are left out, sizes compared.
        keeps_unreadable: whether images that can't be read stay where annotations give their size,
            for those who skip and count them as they decode.
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
        """Images of the source that can be used, of all its splits."""
        self.boxes = 0

    def note(
        self, kind: FaultKind, where: str, message: str, *, image_id: int | None = None
    ) -> None:
        """Take note of a fault; see `Fault`.

        Raises:
            AnnotationError: with the message, when reading is strict.
        """
        if self.strict:
            raise FaultyEntryError(kind, message)
        self.found.append(Fault(kind, where, message, image_id))

    @contextmanager
    def left_out(self, kind: FaultKind, where: str) -> Iterator[None]:
        """Leave out what is read in the block where that is wrong.

        Args:
            kind: of errors that name none themselves.
            where: what is left out.
        """
        try:
            yield
        except AnnotationError as error:
            if self.strict:
                raise
            known = error.kind if isinstance(error, FaultyEntryError) else kind
            self.found.append(Fault(known, where, str(error)))

    def kept(self, images: int, boxes: int) -> None:
        """Count what can be used, so that what is left out has a share."""
        self.images += images
        self.boxes += boxes

    def by_kind(self) -> dict[FaultKind, list[Fault]]:
        """Return the faults of every kind, in the order in which the kinds were met."""
        grouped: dict[FaultKind, list[Fault]] = {}
        for fault in self.found:
            grouped.setdefault(fault.kind, []).append(fault)
        return grouped

    def lines(self) -> list[str]:
        """Return one line for each kind: how many, where, and what was done."""
        return [
            f"{len(found)} {kind.what} ({places(found)}): {kind.remedy}"
            for kind, found in self.by_kind().items()
        ]

    def lost(self, unit: Unit) -> int:
        """Return how many images or boxes are left out."""
        return sum(fault.kind.loses == unit for fault in self.found)

    def check(self) -> None:
        """Check that not too much was left out; one of each may be where there are others.

        Raises:
            AnnotationError: listing all kinds of faults.
        """
        kept: Mapping[Unit, int] = {"image": self.images, "box": self.boxes}
        for unit, left in kept.items():
            lost = self.lost(unit)
            if lost and (lost > max(1, MAX_LEFT_OUT * (lost + left)) or lost >= left):
                self.refuse(
                    f"{lost} of {lost + left} {'images' if unit == 'image' else 'boxes'} would be "
                    f"left out, at most {MAX_LEFT_OUT:.0%} may be"
                )

    def refuse(self, reason: str) -> NoReturn:
        """Raise an error that lists all kinds of faults; a single one says it all."""
        if len(self.found) == 1:
            raise AnnotationError(self.found[0].detail)
        listed = "; ".join(self.lines())
        raise AnnotationError(
            f"{self.source}: {reason}: {listed}. `sparsedet inspect` lists them all, with --fix it "
            "writes a repaired copy"
        )

    def warn(self) -> None:
        """Log one warning for each kind."""
        for line in self.lines():
            _warn(self.source, line)

    def as_json(self) -> list[dict[str, Any]]:
        """Return all faults by kind, for machines."""
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


# Two splits of a folder may have its faults in common: one warning each.
@cache
def _warn(source: str, line: str) -> None:
    logger.warning("%s: %s", source, line)


def strictly(source: object = "") -> Faults:
    """Return faults of which the first is an error."""
    return Faults(source, strict=True)


def places(found: Sequence[Fault], shown: int = _SHOWN) -> str:
    """Return where the first faults are: `annotations id 1, 2, 3, and 4 more`."""
    texts = []
    for prefix, same in groupby((fault.where for fault in found[:shown]), _prefix):
        numbers = [where.removeprefix(prefix) for where in same]
        texts.append(prefix + ", ".join(numbers))
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return "; ".join(texts) + more


def _prefix(where: str) -> str:
    """Return what comes before an id, which several places share."""
    before, mark, _ = where.rpartition(" id ")
    return before + mark
