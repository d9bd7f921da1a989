"""The pictures of contact sheets."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sparsedet.annotations import XYXY, Dataset, read_image
from sparsedet.atomic_io import write_bytes
from sparsedet.errors import AnnotationError
from sparsedet.sheets.layout import Crop, Sheet, SheetFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_BACKGROUND = 40
"""Grey between the crops: darker than most photos, so that their edges show."""
_JPEG_QUALITY = 92


def draw_sheets(
    sheets: Iterable[Sheet],
    dataset: Dataset,
    images: Path,
    folder: Path,
    on_sheet: Callable[[int], None] = lambda done: None,
) -> list[SheetFile]:
    """Draw sheets into a folder as JPEG files; those that are there already are not drawn again.

    Annotations are outlined: a mined box on an object that has one is wrong. An image that can't be
    read leaves its crops empty.

    Args:
        sheets: made by `arrange` of boxes of `dataset`.
        dataset: names the image files.
        images: the folder of these files.
        folder: the folder of the pictures.
        on_sheet: called with the number of sheets that are done.
    """
    files: list[SheetFile] = []
    for sheet in sheets:
        path = folder / f"{sheet.name}.jpg"
        if not path.exists():
            write_bytes(path, _draw(sheet, dataset, images))
        files.append(SheetFile(sheet, path))
        on_sheet(len(files))
    return files


def _draw(sheet: Sheet, dataset: Dataset, images: Path) -> bytes:
    import cv2
    import numpy as np

    width, height = sheet.size
    picture = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    by_tool_id = {image.tool_id: image for image in dataset.images}
    for crop in sheet.crops:
        try:
            pixels = read_image(by_tool_id[crop.tool_id], images)
        except AnnotationError:
            continue
        left, top, right, bottom = (int(value) for value in crop.place)
        part = _cut_out(crop, pixels)
        for box in dataset.boxes_by_image[by_tool_id[crop.tool_id].id]:
            _outline(part, crop, box.xyxy)
        picture[top:bottom, left:right] = part
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()


def _outline(part: "Pixels", crop: Crop, xyxy: XYXY) -> None:
    """Draw the outline of an annotation on a crop, as far as it lies there."""
    import cv2

    left, top, right, bottom = crop.to_sheet(xyxy)
    corner = round(left - crop.place[0]), round(top - crop.place[1])
    opposite = round(right - crop.place[0]), round(bottom - crop.place[1])
    # A dark line around a bright one shows on any background.
    for color, thickness in ((0, 3), (255, 1)):
        cv2.rectangle(part, corner, opposite, (color, color, color), thickness)


def _cut_out(crop: Crop, pixels: "Pixels") -> "Pixels":
    """Return the crop in the size that it has on the sheet."""
    import cv2
    import numpy as np

    left, top, right, bottom = (int(value) for value in crop.window)
    across, down = crop.place[2] - crop.place[0], crop.place[3] - crop.place[1]
    way = cv2.INTER_AREA if across < right - left else cv2.INTER_CUBIC
    part = cv2.resize(pixels[top:bottom, left:right], (int(across), int(down)), interpolation=way)
    return np.ascontiguousarray(part, dtype=np.uint8)
