"""What a dataset consists of: images, boxes and categories.

Boxes are XYXY, absolute pixels of the EXIF-upright image, floats. Other conventions (COCO's XYWH,
Label Studio's percentages) exist only where files and servers are read and written.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

XYXY = tuple[float, float, float, float]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def no_keys() -> Mapping[str, Any]:
    """Return the `extra` of what has no keys that sparsedet does not know."""
    # A factory, because dataclasses refuse the (unhashable) mapping itself as a default.
    return _EMPTY


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects."""

    id: int
    name: str
    extra: Mapping[str, Any] = field(default_factory=no_keys)
    """Keys of the source file that sparsedet does not know, kept for writing."""
    aliases: tuple[str, ...] = ()
    """Other names under which an annotation tool holds boxes of it; no file holds them."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image, by its upright size."""

    id: int
    file_name: str
    """Relative to the image folder, with forward slashes; never leaves it."""
    width: int
    """Pixels, after EXIF orientation."""
    height: int
    """Pixels, after EXIF orientation."""
    exhaustive: bool = False
    """A person marked the image as complete: every object in it has a box."""
    tool_id: str | None = None
    """The annotation tool's id of the image (in Label Studio, the task)."""
    tool_version: str | None = None
    """The annotation tool's name for the state of the image's annotations when they were pulled;
    None where there were none. Where people may have several annotations of an image it is
    `WHICH@STATE`."""
    extra: Mapping[str, Any] = field(default_factory=no_keys)
    complete_classes: frozenset[int] = frozenset()
    """Ids of classes of which every object in the image has a box; one without a box is absent.
    Where the image is `exhaustive` that is true of all classes, whether they are here or not."""

    def is_complete(self, category_id: int) -> bool:
        """Return whether every object of a class has a box."""
        return self.exhaustive or category_id in self.complete_classes

    def incomplete(self, category_ids: Collection[int]) -> "Image":
        """Return the image as it is known once boxes of these classes are taken away.

        An exhaustive image then says nothing of its other classes either, unless these are marked
        one by one: sparse splits of exhaustive data must not show what is absent.
        """
        left = self.complete_classes.difference(category_ids)
        if not self.exhaustive and len(left) == len(self.complete_classes):
            return self
        return replace(self, exhaustive=False, complete_classes=left)

    def unmarked(self) -> "Image":
        """Return the image as one of which nobody said that anything is complete."""
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
    """A group of objects in COCO's sense: never dropped, never counted, never trained on."""
    area: float | None = None
    """Square pixels; None means that of the box. COCO files give the mask's area."""
    origin: str | None = None
    """Where the box comes from: `human`, `accepted`, `edited`; None where a file does not say."""
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
