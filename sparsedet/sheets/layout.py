"""What is where on a contact sheet, and how boxes get from an image to a sheet and back.

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
    """A part of an image on a sheet, cut out around a mined box."""

    region_id: str
    """Of the mined box."""
    tool_id: str
    """Of its image, as `Image.tool_id` has it."""
    size: tuple[int, int]
    """Upright (width, height) of the image in pixels."""
    window: XYXY
    """The part of the image that is shown."""
    place: XYXY
    """Where on the sheet."""

    def to_sheet(self, xyxy: XYXY) -> XYXY:
        """Return where a box of the image lies on the sheet."""
        return _mapped(xyxy, self.window, self.place)

    def to_image(self, xyxy: XYXY) -> XYXY:
        """Return where a box of the sheet lies on the image, clipped to it."""
        left, top, right, bottom = _mapped(xyxy, self.place, self.window)
        width, height = self.size
        return (
            min(max(left, 0.0), width),
            min(max(top, 0.0), height),
            min(max(right, 0.0), width),
            min(max(bottom, 0.0), height),
        )

    def holds(self, xyxy: XYXY) -> bool:
        """Return whether the middle of a box of the sheet lies on this crop."""
        across, down = (xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2
        left, top, right, bottom = self.place
        return left <= across <= right and top <= down <= bottom


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: crops of one class."""

    name: str
    """Made of what is on it; a sheet of the same name shows the same."""
    category: str
    """The name of the class."""
    size: tuple[int, int]
    """(width, height) in pixels."""
    crops: tuple[Crop, ...]
    """Row by row."""

    @cached_property
    def by_region(self) -> Mapping[str, Crop]:
        """The crops by the region ids of their boxes."""
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
    """Return the layout that `Sheet.to_json` wrote.

    Args:
        content: the JSON.
        source: names it in errors.

    Raises:
        SparseDetError: when it is no such layout.
    """
    try:
        if not isinstance(content, Mapping):
            raise TypeError("no object")
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
        raise SparseDetError(f"{source}: no layout of a contact sheet ({error!r})") from error


def _mapped(xyxy: XYXY, first: XYXY, second: XYXY) -> XYXY:
    """Return a box of the rectangle `first` in the same place of `second`."""
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
        raise ValueError(f"{values} is no size")
    return first, second


def _box(values: Any) -> XYXY:
    left, top, right, bottom = (float(value) for value in values)
    # Of less than that neither a picture nor an image has anything to show.
    if not (1 <= right - left < math.inf and 1 <= bottom - top < math.inf):
        raise ValueError(f"{values} has no area")
    return left, top, right, bottom
