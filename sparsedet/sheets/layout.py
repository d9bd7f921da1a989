"""The layout of a contact sheet, and the mapping of boxes from an image to a sheet and back.

Boxes are XYXY in absolute pixels: of the upright image, or of the sheet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.errors import SparseDetError
from sparsedet.reading import ODD_VALUES


@dataclass(frozen=True, slots=True)
class Crop:
    """A region of an image on a sheet, cropped around a mined box."""

    region_id: str
    """Id of the mined box."""
    tool_id: str
    """Tool id of its image, as in `Image.tool_id`."""
    size: tuple[int, int]
    """Upright (width, height) of the image in pixels."""
    window: XYXY
    """The shown region of the image."""
    place: XYXY
    """Its position on the sheet."""

    def to_sheet(self, xyxy: XYXY) -> XYXY:
        """Map a box of the image to the sheet."""
        return _mapped(xyxy, self.window, self.place)

    def to_image(self, xyxy: XYXY) -> XYXY:
        """Map a box of the sheet to the image, clipped to it."""
        left, top, right, bottom = _mapped(xyxy, self.place, self.window)
        width, height = self.size
        return (
            min(max(left, 0.0), width),
            min(max(top, 0.0), height),
            min(max(right, 0.0), width),
            min(max(bottom, 0.0), height),
        )

    def holds(self, xyxy: XYXY) -> bool:
        """Return whether the centre of a box of the sheet is on this crop."""
        across, down = (xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2
        left, top, right, bottom = self.place
        return left <= across <= right and top <= down <= bottom


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: crops of one class."""

    name: str
    """Derived from its content: sheets of the same name show the same."""
    category: str
    """Class name."""
    size: tuple[int, int]
    """(width, height) in pixels."""
    crops: tuple[Crop, ...]
    """Row by row."""

    @cached_property
    def by_region(self) -> Mapping[str, Crop]:
        """The crops by region id of their boxes."""
        return {crop.region_id: crop for crop in self.crops}

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON, for `sheet_from_json`."""
        return {
            "name": self.name,
            "category": self.category,
            "size": list(self.size),
            "crops": [
                {
                    "region_id": crop.region_id,
                    "tool_id": crop.tool_id,
                    "size": list(crop.size),
                    "window": _rounded(crop.window),
                    "place": _rounded(crop.place),
                }
                for crop in self.crops
            ],
        }

    def renamed(self, images: Mapping[str, str]) -> "Sheet":
        """Return the layout with new tool ids of images (old -> new)."""
        crops = tuple(
            Crop(
                crop.region_id,
                images.get(crop.tool_id, crop.tool_id),
                crop.size,
                crop.window,
                crop.place,
            )
            for crop in self.crops
        )
        return Sheet(self.name, self.category, self.size, crops)


@dataclass(frozen=True, slots=True)
class SheetFile:
    """A sheet and its picture."""

    sheet: Sheet
    path: Path


def sheet_from_json(content: object, source: str) -> Sheet:
    """Read the layout written by `Sheet.to_json`.

    Args:
        content: the JSON.
        source: its name in errors.

    Raises:
        SparseDetError: when the content is invalid.
    """
    try:
        if not isinstance(content, Mapping):
            raise TypeError("not an object")
        crops = tuple(
            Crop(
                region_id=str(entry["region_id"]),
                tool_id=str(entry["tool_id"]),
                size=_pair(entry["size"]),
                window=_box(entry["window"]),
                place=_box(entry["place"]),
            )
            for entry in content["crops"]
        )
        size = _pair(content["size"])
        return Sheet(str(content["name"]), str(content["category"]), size, crops)
    except ODD_VALUES as error:
        raise SparseDetError(f"{source}: invalid layout of a contact sheet ({error!r})") from error


def _mapped(xyxy: XYXY, first: XYXY, second: XYXY) -> XYXY:
    """Map a box from rectangle `first` to the same relative position in `second`."""
    across = (second[2] - second[0]) / (first[2] - first[0])
    down = (second[3] - second[1]) / (first[3] - first[1])
    return (
        second[0] + (xyxy[0] - first[0]) * across,
        second[1] + (xyxy[1] - first[1]) * down,
        second[0] + (xyxy[2] - first[0]) * across,
        second[1] + (xyxy[3] - first[1]) * down,
    )


def _rounded(xyxy: XYXY) -> list[float]:
    return [round(value, 3) for value in xyxy]


def _pair(values: Any) -> tuple[int, int]:
    first, second = (int(value) for value in values)
    if min(first, second) < 1:
        raise ValueError(f"{values} is not a size")
    return first, second


def _box(values: Any) -> XYXY:
    left, top, right, bottom = (float(value) for value in values)
    # A smaller area contains nothing, in the picture or the image.
    if not (1 <= right - left < math.inf and 1 <= bottom - top < math.inf):
        raise ValueError(f"{values} has no area")
    return left, top, right, bottom
