"""The parts of a dataset: images, boxes and categories.

Boxes are XYXY floats in absolute pixels of the EXIF-upright image. Other conventions (COCO's XYWH,
Label Studio's percentages) exist only where files and servers are read and written.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

XYXY = tuple[float, float, float, float]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def no_keys() -> Mapping[str, Any]:
    """Return `extra` without unknown keys."""
    # A factory, since dataclasses refuse the (unhashable) mapping itself as a default.
    return _EMPTY


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects."""

    id: int
    name: str
    extra: Mapping[str, Any] = field(default_factory=no_keys)
    """Unknown keys of the source file, preserved for writing."""
    aliases: tuple[str, ...] = ()
    """Other names of the category in an annotation tool; not stored in files."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image, with its upright size."""

    id: int
    file_name: str
    """Relative to the image folder, with forward slashes; never leaves the folder."""
    width: int
    """Pixels, after EXIF orientation."""
    height: int
    """Pixels, after EXIF orientation."""
    exhaustive: bool = False
    """Whether a person marked the image as complete: every object in it has a box."""
    tool_id: str | None = None
    """The annotation tool's id of the image (in Label Studio, the task)."""
    tool_version: str | None = None
    """The annotation tool's version of the image's annotations when they were pulled; None if there
    were none. If several people may annotate an image, it is `WHICH@STATE`."""
    extra: Mapping[str, Any] = field(default_factory=no_keys)
    complete_classes: frozenset[int] = frozenset()
    """Ids of classes of which every object in the image has a box; one without a box is absent.
    In an `exhaustive` image that holds for all classes, listed or not."""

    def is_complete(self, category_id: int) -> bool:
        """Return whether every object of a class has a box."""
        return self.exhaustive or category_id in self.complete_classes

    def incomplete(self, category_ids: Collection[int]) -> "Image":
        """Return the image's marks after boxes of these classes were removed.

        An exhaustive image then implies nothing about its other classes either, unless they are
        marked one by one: sparse splits of exhaustive data must not reveal what is absent.
        """
        left = self.complete_classes.difference(category_ids)
        if not self.exhaustive and len(left) == len(self.complete_classes):
            return self
        return replace(self, exhaustive=False, complete_classes=left)

    def unmarked(self) -> "Image":
        """Return the image without any marks of completeness."""
        if not self.exhaustive and not self.complete_classes:
            return self
        return replace(self, exhaustive=False, complete_classes=frozenset())


@dataclass(frozen=True, slots=True)
class Box:
    """A box on an image: an annotation, or a verified negative of its class."""

    id: int
    image_id: int
    category_id: int
    xyxy: XYXY
    """Left, top, right, bottom in absolute pixels of the upright image."""
    iscrowd: bool = False
    """A crowd region in COCO's sense: never dropped, never counted, never trained on."""
    area: float | None = None
    """Square pixels; None: that of the box. COCO files give the mask's area."""
    origin: str | None = None
    """Origin of the box: `human`, `accepted`, `edited`; None if a file doesn't say."""
    tool_id: str | None = None
    """The annotation tool's id of the region."""
    extra: Mapping[str, Any] = field(default_factory=no_keys)

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.xyxy[2] - self.xyxy[0]

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.xyxy[3] - self.xyxy[1]
