"""A distinct colour for every class: the source's if it is distinct, else a new one."""

import colorsys
import re
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import ImageColor

RGB = tuple[int, int, int]

_UNSET: RGB = (0xDA, 0x93, 0x5D)
"""Label Studio's default, which the editor replaces by a colour derived from the name."""
SELECTED: RGB = (255, 0, 0)
"""The editor's outline of a selected box, and that of boxes that look wrong: no class has it."""
_ALIKE = 10.0
"""Distance in Lab below which two colours are hard to tell apart on a picture."""
_FIRST = ("#1e6fff", "#00a030", "#e010b0", "#ff8800", "#00b4c8", "#7a3cff", "#9a9a00", "#8b4a1a")
"""Preferred new colours (blue, green, ...), if they are far enough from those in use."""
_FAR = 20.0
"""Minimum distance in Lab for that."""
_SHADES = ((1.0, 0.95), (1.0, 0.6), (0.55, 0.95), (0.5, 0.6))
"""Saturation and value of new colours; no greys, which are common in images."""
_HUES = 36
_LIGHTEST = 80.0
"""Lab lightness of new colours: the editor writes on them in white."""

_RGBA = re.compile(r"rgba?\(\s*(\d+)\s*[, ]\s*(\d+)\s*[, ]\s*(\d+)\s*[,/ ]")
_FROM_RGB = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])
"""Linear sRGB to XYZ, as a share of white."""


def distinct_colors(backgrounds: Sequence[str]) -> list[str]:
    """Return a distinct colour per class, as #rrggbb.

    The same input always gives the same colours, and appending a class without a colour changes
    none of the others.

    Args:
        backgrounds: CSS colours of the classes, empty for none. The first class with a colour keeps
            it, unless it looks like `SELECTED`; later ones that look similar get another one.
    """
    kept: list[RGB | None] = []
    for background in backgrounds:
        color = parse_color(background)
        taken = [SELECTED, *(other for other in kept if other)]
        distinct = color is not None and all(_distance(color, k) >= _ALIKE for k in taken)
        kept.append(color if distinct else None)
    new = _farthest([color for color in kept if color])
    return ["#{:02x}{:02x}{:02x}".format(*(color or next(new))) for color in kept]


def parse_color(text: str) -> RGB | None:
    """Parse a CSS colour without its transparency; None if invalid or empty."""
    text = text.strip()
    if found := _RGBA.match(text):
        red, green, blue = (min(int(number), 255) for number in found.groups())
        return red, green, blue
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        return None
    return None if (red, green, blue) == _UNSET else (red, green, blue)


def _farthest(used: Sequence[RGB]) -> Iterator[RGB]:
    """Yield colours endlessly: the preferred ones, then each as far from all others as possible."""
    taken = [_lab(color) for color in (SELECTED, _UNSET, *used)]
    for first in _FIRST:
        red, green, blue = ImageColor.getrgb(first)[:3]
        place = _lab((red, green, blue))
        if np.min(np.linalg.norm(taken - place, axis=1)) >= _FAR:
            yield red, green, blue
            taken.append(place)
    colors = [
        _from_hsv(hue / _HUES, saturation, value)
        for hue, (saturation, value) in product(range(_HUES), _SHADES)
    ]
    places = np.array([_lab(color) for color in colors])
    usable = places[:, 0] <= _LIGHTEST
    nearest = np.min([np.linalg.norm(places - place, axis=1) for place in taken], axis=0)
    while True:
        best = int(np.argmax(np.where(usable, nearest, -1.0)))
        yield colors[best]
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))


def _from_hsv(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _distance(first: RGB, second: RGB) -> float:
    return float(np.linalg.norm(_lab(first) - _lab(second)))


def _lab(color: RGB) -> npt.NDArray[np.float64]:
    """Return CIE L*a*b*, in which distance is how different two colours look."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = _FROM_RGB @ linear
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
