"""Contact sheets: mined boxes of many images, cut out and judged on one picture."""

from sparsedet.sheets.layout import Crop, Sheet, SheetFile

__all__ = ["Crop", "Sheet", "SheetFile"]
