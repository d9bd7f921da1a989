"""Contact sheets as seen by a tool: images of their own, with the mined boxes on them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.sheets.layout import Sheet

LAYOUT = "sparsedet_sheet"
"""Key under which tools keep a sheet's layout with its picture."""


def as_images(
    sheets: Sequence[Sheet],
    dataset: Dataset,
    mined: Iterable[MinedBox],
    gone: Collection[str] = (),
) -> tuple[Dataset, list[MinedBox]]:
    """Return the sheets as a dataset, and the mined boxes on them, in pixels of the sheets.

    The images' tool ids are the names of the sheets. Includes sheets without boxes, which may be up
    already.

    Args:
        sheets: with a crop for each mined box.
        dataset: what the boxes were mined on; provides the classes.
        mined: on images of `dataset`.
        gone: tool ids of images whose boxes are left out.

    Raises:
        SparseDetError: when a mined box is on no sheet.
    """
    places = {
        crop.region_id: (number, crop)
        for number, sheet in enumerate(sheets, start=1)
        for crop in sheet.crops
    }
    boxes: list[MinedBox] = []
    for box in mined:
        if box.region_id not in places:
            raise SparseDetError(f"mined box {box.region_id} is on no contact sheet")
        number, crop = places[box.region_id]
        if crop.tool_id not in gone:
            boxes.append(replace(box, image_id=number, xyxy=crop.to_sheet(box.xyxy)))
    images = tuple(
        Image(
            id=number,
            file_name=f"{sheet.name}.jpg",
            width=sheet.size[0],
            height=sheet.size[1],
            tool_id=sheet.name,
            extra={LAYOUT: sheet.to_json()},
        )
        for number, sheet in enumerate(sheets, start=1)
    )
    return Dataset(images, (), dataset.categories), boxes


def images_of(sheets: Mapping[str, Sheet], names: Iterable[str]) -> frozenset[str]:
    """Return the tool ids of the images shown on some sheets, by sheet name."""
    return frozenset(crop.tool_id for name in names for crop in sheets[name].crops)
