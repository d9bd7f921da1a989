"""Changing lines in a YOLO file of labels, and leaving the others as they are."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sparsedet.annotations import XYXY
from sparsedet.errors import ToolError
from sparsedet.tool import MOVED_PIXELS

from .yolo_labels import corners, format_box, format_polygon

YoloBox = tuple[int, XYXY]
"""Class index and box."""

_BOX_COLUMNS = 5


def edit_labels(
    path: Path,
    known: Sequence[YoloBox],
    size: tuple[int, int],
    *,
    removed: Collection[int],
    edited: Mapping[int, YoloBox],
    added: Sequence[YoloBox],
) -> str:
    """Return the content of a file with some of its boxes changed; it need not exist.

    An outline whose box moved becomes that box.

    Args:
        path: the file.
        known: its boxes as they were read.
        size: (width, height) of the image.
        removed: places of boxes in the file, from 0 on, empty lines not counted.
        edited: place -> the box as it should be. A box that moved by no more than `MOVED_PIXELS`
            keeps its numbers.
        added: new boxes, which go to the end.

    Raises:
        ToolError: when the file is not as it was read.
    """
    text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != len(known):
        raise ToolError(f"{path}: changed while it was being merged; call it again")
    kept: list[str | YoloBox] = []
    for place, line in enumerate(lines):
        if place in removed:
            continue
        if place not in edited:
            kept.append(line)
            continue
        index, xyxy = edited[place]
        moved = max(abs(a - b) for a, b in zip(xyxy, known[place][1], strict=True))
        numbers = line.split(maxsplit=1)[1]
        kept.append((index, xyxy) if moved > MOVED_PIXELS else f"{index} {numbers}")
    kept += added
    outlines = any(isinstance(line, str) and len(line.split()) > _BOX_COLUMNS for line in kept)
    end = "\r\n" if "\r\n" in text else "\n"
    return "".join(
        (line if isinstance(line, str) else _line(line, size, outlines)) + end for line in kept
    )


def _line(box: YoloBox, size: tuple[int, int], outlines: bool) -> str:
    """Return a line; among outlines a box has to be one too, see `corners`."""
    index, xyxy = box
    if outlines:
        return format_polygon(index, corners(xyxy), size)
    return format_box(index, xyxy, size)
