"""Draw boxes into images: human ones, mined ones, and review outcomes."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Dataset, read_upright
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.atomic_io import atomic_path
from sparsedet.tool import Outcome

Colour = tuple[int, int, int]
"""BGR, 0 to 255, as in OpenCV."""

_GAP = 8
_SCALE = 2
"""Enlargement of small images, for legible labels."""
_SMALL = 480
_LINE = 2
"""Pixels, like all lengths below."""
_DASH = 6
_FONT_SIZE = 13
_PADDING = 2
"""Padding around a label's text."""
_INK = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class BoxStyle:
    """The style of a kind of box; outcomes differ in line style, not only in colour."""

    name: str
    meaning: str
    """Text of the legend."""
    colour: Colour
    line: Literal["solid", "dashed", "crossed"] = "solid"

    @property
    def css_colour(self) -> str:
        """The colour as `#rrggbb`."""
        blue, green, red = self.colour
        return f"#{red:02x}{green:02x}{blue:02x}"


HUMAN = BoxStyle("human", "annotated, or approved earlier", (60, 160, 40))
MINED = BoxStyle("mined", "found by mining", (0, 130, 240))
ACCEPTED = BoxStyle("accepted", "mined, accepted unchanged", (240, 115, 25))
EDITED = BoxStyle("edited", "mined, moved or renamed by the reviewer", (200, 50, 150))
REJECTED = BoxStyle("rejected", "mined, rejected by the reviewer", (40, 35, 215), "crossed")
PENDING = BoxStyle("pending", "mined, not reviewed yet", MINED.colour, "dashed")
WITHDRAWN = BoxStyle("withdrawn", "mined, withdrawn unreviewed", (130, 130, 130), "dashed")
SAMPLED = BoxStyle("sampled", "mined, accepted by sample", (170, 170, 40))

OUTCOME_STYLES: dict[Outcome, BoxStyle] = {
    "accepted": ACCEPTED,
    "edited": EDITED,
    "rejected": REJECTED,
    "pending": PENDING,
    "withdrawn": WITHDRAWN,
    "sampled": SAMPLED,
}
"""Outcome of a mined box -> its style, in the order of the legend."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box and its label."""

    xyxy: XYXY
    """Absolute pixels of the image."""
    text: str
    style: BoxStyle


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: Sequence[DrawnBox],
    *,
    max_width: int | None = None,
    max_height: int | None = None,
) -> NDArray[np.uint8]:
    """Draw boxes on a copy of a BGR image, shape (H, W, 3); small images are enlarged.

    Lines and labels have the same size at every scale. Later boxes cover earlier ones, labels cover
    all boxes.

    Args:
        image: What to draw on.
        boxes: In pixels of `image`.
        max_width: Pixels; wider pictures are scaled down, keeping the aspect ratio.
        max_height: Pixels; likewise.
    """
    height, width = image.shape[:2]
    scale: float = _SCALE if max(height, width) <= _SMALL else 1
    if max_width is not None:
        scale = min(scale, max_width / width)
    if max_height is not None:
        scale = min(scale, max_height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas: Any = cv2.resize(image, size, interpolation=smooth)
    corners = [tuple(round(edge * scale) for edge in box.xyxy) for box in boxes]
    for box, (left, top, right, bottom) in zip(boxes, corners, strict=True):
        _outline(canvas, (left, top), (right, bottom), box.style)
    labels = [
        (" ".join(box.text.split()), corner[:2], box.style.colour)
        for box, corner in zip(boxes, corners, strict=True)
        if box.text
    ]
    return _with_labels(canvas, labels)


def before_and_after(
    dataset: Dataset, mined: Sequence[MinedBox], folder: Path, count: int
) -> NDArray[np.uint8]:
    """Return one picture: images with human boxes on top, the same with mined boxes below.

    BGR, shape (H, W, 3). Shows the `count` images with the most mined boxes, possibly none.
    """
    by_image: dict[int, list[MinedBox]] = {image.id: [] for image in dataset.images}
    for box in mined:
        by_image[box.image_id].append(box)
    chosen = sorted(by_image, key=lambda image_id: (-len(by_image[image_id]), image_id))[:count]
    names = {category.id: category.name for category in dataset.categories}
    columns = []
    for image_id in chosen:
        pixels = read_upright(folder / dataset.image_by_id[image_id].file_name)
        human = [
            DrawnBox(box.xyxy, names[box.category_id], HUMAN)
            for box in dataset.boxes_by_image[image_id]
        ]
        found = [
            DrawnBox(box.xyxy, f"{names[box.category_id]} {box.score:.2f}", MINED)
            for box in by_image[image_id]
        ]
        before, after = draw_boxes(pixels, human), draw_boxes(pixels, [*human, *found])
        columns.append(_stack([before, after], axis=0))
    return _stack(columns, axis=1)


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a BGR picture, shape (H, W, 3), atomically, in the format of the path's suffix."""
    encoded = cv2.imencode(path.suffix, picture)[1]
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def jpeg_uri(picture: NDArray[np.uint8], quality: int) -> str:
    """Return a BGR picture, shape (H, W, 3), as a data URI: a JPEG to embed in a page.

    Args:
        picture: what to embed.
        quality: of the JPEG, 0 to 100.
    """
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _outline(
    canvas: Any, corner: tuple[int, int], opposite: tuple[int, int], style: BoxStyle
) -> None:
    (left, top), (right, bottom) = corner, opposite
    if style.line != "dashed":
        cv2.rectangle(canvas, corner, opposite, style.colour, _LINE)
    if style.line == "crossed":
        cv2.line(canvas, corner, opposite, style.colour, 1, cv2.LINE_AA)
        cv2.line(canvas, (left, bottom), (right, top), style.colour, 1, cv2.LINE_AA)
    if style.line == "dashed":
        for x in range(left, right, 2 * _DASH):
            for y in (top, bottom):
                cv2.line(canvas, (x, y), (min(x + _DASH, right), y), style.colour, _LINE)
        for y in range(top, bottom, 2 * _DASH):
            for x in (left, right):
                cv2.line(canvas, (x, y), (x, min(y + _DASH, bottom)), style.colour, _LINE)


def _with_labels(
    canvas: Any, labels: Sequence[tuple[str, tuple[int, ...], Colour]]
) -> NDArray[np.uint8]:
    """Write a label above each box's upper left corner, or inside if there is no room."""
    picture = PIL.Image.fromarray(np.ascontiguousarray(canvas[..., ::-1]))
    pen, font = PIL.ImageDraw.Draw(picture), _font()
    ascent, descent = font.getmetrics()
    height = ascent + descent
    for text, (left, top), colour in labels:
        width = round(font.getlength(text)) + 2 * _PADDING
        x = max(0, min(left - 1, picture.width - width))
        y = top - height if top >= height else top
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour[::-1])
        pen.text((x + _PADDING, y), text, font=font, fill=_INK)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8)[..., ::-1])


@cache
def _font() -> PIL.ImageFont.FreeTypeFont:
    """The font bundled with matplotlib: OpenCV's own only has ASCII."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return PIL.ImageFont.truetype(str(path), _FONT_SIZE)


def _stack(pictures: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Stack pictures vertically (axis 0) or horizontally (axis 1), with white gaps."""
    across = 1 - axis
    longest = max(picture.shape[across] for picture in pictures)
    parts: list[NDArray[np.uint8]] = []
    for picture in pictures:
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[across] = (0, longest - picture.shape[across])
        padding[axis] = (0, 0 if picture is pictures[-1] else _GAP)
        parts.append(np.pad(picture, padding, constant_values=255))
    return np.concatenate(parts, axis=axis)
