"""LabelMe's JSON: a file per image, next to it or in a separate folder."""

import math
import posixpath
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sparsedet.annotations.faults import LABELS_BROKEN, Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import SPLIT_NAMES
from sparsedet.reading import quoted, read_json
from sparsedet.wording import counted

from ..conversion import LabelledBox
from ..image_folders import is_dangling, list_files, stem
from .file_kinds import has_json, json_kind
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import hull, no_box, outlined, points

_KEPT = ("group_id", "description", "flags", "attributes", "difficult", "score")
_WITHOUT_BOX = {"point": "point", "points": "set of points", "line": "line", "linestrip": "line"}


class LabelMeFormat(ReadFormat):
    """LabelMe and compatible tools (X-AnyLabeling, AnyLabeling).

    Polygons, circles, masks and rotated rectangles become their upright bounding boxes. Images
    without a file have no boxes.
    """

    title = "LabelMe"
    layout = "LabelMe's .json files, next to their images or in a separate folder"

    def detect(self, path: Path) -> bool:
        """Whether this is a LabelMe file, or a folder with some."""
        return has_json(path, "labelme")

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; `train/`, `val/` and `test/` are splits."""
        root = path.parent if path.is_file() else path
        names = [path.name] if path.is_file() else list_files(root, {".json"}, dangling=True)
        records = []
        ours = [name for name in names if _is_ours(root / name)]
        unread = set(ours)
        for name in ours:
            with faults.left_out(LABELS_BROKEN, name):
                records.append(_file(root, name))
                unread.remove(name)
        if not records and not faults.found:
            raise AnnotationError(f"{path}: no LabelMe files ({self.layout})")
        # A single file is one image, regardless of others around it.
        return Records(
            root / "labels.json",
            records,
            usual_images=root if list_files(root, IMAGE_SUFFIXES) else None,
            unread=frozenset(PurePosixPath(name).stem for name in unread),
            lists_images=path.is_file(),
        )


def _is_ours(file: Path) -> bool:
    """Whether it is a LabelMe file, or what is left of one: empty, or a link to nothing."""
    # A tool may have died while saving.
    return json_kind(file) == "labelme" or is_dangling(file) or file.stat().st_size == 0


def _file(root: Path, name: str) -> Record:
    """Read a file.

    Args:
        root: the dataset's folder.
        name: name of the file, relative to it.
    """
    where = str(root / name)
    try:
        content = read_json(root / name)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise AnnotationError(f"{where}: has no list of shapes")
    entries = []
    for place, shape in enumerate(shapes, start=1):
        at = f"{where}: shape {place}"
        entries.append(Entry(at, partial(_shape, shape, at)))
    size = tuple(content.get(key) for key in ("imageWidth", "imageHeight"))
    known = all(type(side) is int and side > 0 for side in size)
    folder = posixpath.dirname(name)
    first = name.split("/")[0].lower()
    return Record(
        where,
        _names(folder, content.get("imagePath")),
        entries,
        size if known else None,
        stem=stem(name),
        near=folder,
        split=first if "/" in name and first in SPLIT_NAMES else "",
    )


def _names(folder: str, image: object) -> list[str]:
    """Return candidate names of the image, relative to the dataset's folder."""
    if not isinstance(image, str) or not image.strip() or "\0" in image:
        return []
    plain = image.strip().replace("\\", "/")
    joined = posixpath.normpath(posixpath.join(folder, plain))
    return list(dict.fromkeys((joined, plain)))


def _shape(shape: object, where: str, size: Size) -> LabelledBox:
    """Return the box of a shape; the size is unused."""
    if not isinstance(shape, Mapping):
        raise AnnotationError(f"{where}: is {quoted(shape)}, expected an object")
    label = shape.get("label")
    if not isinstance(label, str | int) or isinstance(label, bool):
        raise AnnotationError(f"{where}: its label is {quoted(label)}, expected text")
    category, keys = str(label).strip(), _keys(shape)
    kind = shape.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise AnnotationError(f"{where}: its shape_type is {quoted(kind)}, expected text")
    if kind in _WITHOUT_BOX:
        raise no_box(_WITHOUT_BOX[kind], where)
    corners = points(shape.get("points"), where)
    if kind in ("rectangle", "mask"):
        if len(corners) < 2:
            raise AnnotationError(
                f"{where}: a {kind} of {counted(len(corners), 'point')}, expected 2"
            )
        return LabelledBox(category, hull(corners), extra=keys)
    if kind == "circle":
        if len(corners) != 2:
            raise AnnotationError(
                f"{where}: a circle of {counted(len(corners), 'point')}, expected 2"
            )
        (x, y), edge = corners
        radius = math.dist((x, y), edge)
        return LabelledBox(category, (x - radius, y - radius, x + radius, y + radius), extra=keys)
    if kind in ("polygon", "rotation"):
        return outlined(category, corners, keys, where)
    raise no_box(quoted(kind), where)


def _keys(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return other non-empty keys of a shape."""
    return {key: value for key in _KEPT if (value := shape.get(key)) or type(value) is int}
