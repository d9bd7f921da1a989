"""The pictures of contact sheets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparsedet.annotations import XYXY, Dataset, Image, read_image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.atomic_io import write_bytes
from sparsedet.errors import AnnotationError
from sparsedet.sheets.layout import Crop, Sheet, SheetFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_BACKGROUND = 40
"""Grey between the crops: darker than most photos, so that their edges are visible."""
_JPEG_QUALITY = 92
_AT_ONCE = 100
"""Sheets drawn at the same time: they take 200 MB."""


def drawable(boxes: Iterable[MinedBox], dataset: Dataset, images: Path) -> list[MinedBox]:
    """Return the boxes whose images can be decoded.

    Args:
        boxes: of images of `dataset`.
        dataset: names the image files.
        images: the folder of these files.
    """
    by_image: dict[int, list[MinedBox]] = {}
    for box in boxes:
        by_image.setdefault(box.image_id, []).append(box)
    return [
        box
        for image_id, own in by_image.items()
        if _pixels(dataset.image_by_id[image_id], images) is not None
        for box in own
    ]


def draw_sheets(
    sheets: Iterable[Sheet],
    dataset: Dataset,
    images: Path,
    folder: Path,
    on_sheet: Callable[[int], None] = lambda done: None,
) -> list[SheetFile]:
    """Draw sheets into a folder as JPEG files, skipping existing ones.

    Annotations are outlined: a mined box on an annotated object is wrong. Crops of missing or
    unreadable images stay empty.

    Args:
        sheets: made by `arrange` from boxes of `dataset`.
        dataset: names the image files.
        images: the folder of these files.
        folder: the folder of the pictures.
        on_sheet: called with the number of finished sheets.
    """
    files = [SheetFile(sheet, folder / f"{sheet.name}.jpg") for sheet in sheets]
    missing = [file for file in files if not file.path.exists()]
    done = len(files) - len(missing)
    for start in range(0, len(missing), _AT_ONCE):
        for file, picture in _drawn(missing[start : start + _AT_ONCE], dataset, images):
            write_bytes(file.path, _encoded(picture))
            done += 1
            on_sheet(done)
    return files


def _drawn(
    files: Sequence[SheetFile], dataset: Dataset, images: Path
) -> Iterator[tuple[SheetFile, "Pixels"]]:
    """Yield pictures of some sheets, each once its crops are complete.

    An image's crops are spread over many sheets: it is decoded once for all of them.
    """
    pictures = [_blank(file.sheet) for file in files]
    left = [len(file.sheet.crops) for file in files]
    by_image: dict[str, list[tuple[int, Crop]]] = {}
    for number, file in enumerate(files):
        for crop in file.sheet.crops:
            by_image.setdefault(crop.tool_id, []).append((number, crop))
    known = {image.tool_id: image for image in dataset.images}
    for tool_id, crops in by_image.items():
        image = known.get(tool_id)
        pixels = _pixels(image, images)
        for number, crop in crops:
            if image is not None and pixels is not None:
                left_edge, top, right, bottom = (int(value) for value in crop.place)
                part = _cut_out(crop, pixels)
                for box in dataset.boxes_by_image[image.id]:
                    _outline(part, crop, box.xyxy)
                pictures[number][top:bottom, left_edge:right] = part
            left[number] -= 1
            if not left[number]:
                yield files[number], pictures[number]


def _pixels(image: Image | None, folder: Path) -> "Pixels | None":
    """Decode an image; None if it is missing or can't be read."""
    try:
        return None if image is None else read_image(image, folder)
    except AnnotationError:
        return None


def _blank(sheet: Sheet) -> "Pixels":
    import numpy as np

    width, height = sheet.size
    return np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)


def _encoded(picture: "Pixels") -> bytes:
    import cv2

    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(encoded.tobytes())


def _outline(part: "Pixels", crop: Crop, xyxy: XYXY) -> None:
    """Draw the outline of an annotation on a crop, as far as it is visible there."""
    import cv2

    left, top, right, bottom = crop.to_sheet(xyxy)
    corner = round(left - crop.place[0]), round(top - crop.place[1])
    opposite = round(right - crop.place[0]), round(bottom - crop.place[1])
    # A dark line around a bright one is visible on any background.
    for color, thickness in ((0, 3), (255, 1)):
        cv2.rectangle(part, corner, opposite, (color, color, color), thickness)


def _cut_out(crop: Crop, pixels: "Pixels") -> "Pixels":
    """Return the crop at its size on the sheet."""
    import cv2
    import numpy as np

    left, top, right, bottom = (int(value) for value in crop.window)
    across, down = crop.place[2] - crop.place[0], crop.place[3] - crop.place[1]
    way = cv2.INTER_AREA if across < right - left else cv2.INTER_CUBIC
    part = cv2.resize(pixels[top:bottom, left:right], (int(across), int(down)), interpolation=way)
    return np.ascontiguousarray(part, dtype=np.uint8)
