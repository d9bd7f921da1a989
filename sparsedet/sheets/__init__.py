"""Contact sheets: mined boxes of many images, cropped and judged on one picture."""

from sparsedet.sheets.layout import Crop, Sheet, SheetFile

__all__ = ["Crop", "Sheet", "SheetFile"]
