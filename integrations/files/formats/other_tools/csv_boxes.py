"""Csv files with a box per row, as of TensorFlow, Keras RetinaNet and Kaggle."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from sparsedet.annotations.faults import IMAGE_BROKEN, LABELS_BROKEN, Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.reading import quoted

from ..conversion import LabelledBox
from ..image_folders import list_files
from ..once import warn_once
from .csv_tables import first_row, lines
from .file_kinds import all_files, candidate_names, first_files, split_of
from .precedence import has_better
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import number

_IMAGE = ("filename", "imagefilename", "imagename", "imagepath", "filepath", "image", "file")
_IMAGE_TOO = ("path", "imageid", "img", "imgname", "imgpath", "imgid")
# Next to a name, `label` is its number.
_CLASS = ("classname", "labelname", "categoryname", "class", "label", "category", "name")
_CLASS_TOO = ("classid", "labelid", "categoryid")
"""Plain names of columns, the likeliest first."""
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("x0", "y0", "x1", "y1"),
)
_SIZED = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("left", "top", "width", "height"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
    ("bbox",),
)
"""The last is a list `[x, y, width, height]`."""
_CENTRED = tuple(
    (*centre, *size)
    for centre in (("xc", "yc"), ("cx", "cy"), ("xcenter", "ycenter"), ("centerx", "centery"))
    for size in (("w", "h"), ("width", "height"))
)
_IMAGE_SIZES = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("width", "height"))
"""Columns of the size of an image, unless it is that of the box; see `_size`."""
_SPLIT = ("split", "subset", "set")
_RETINANET = ("filename", "x1", "y1", "x2", "y2", "class")
_MAKE_SENSE = (
    *("labelname", "bboxx", "bboxy", "bboxwidth", "bboxheight"),
    *("imagename", "imagewidth", "imageheight"),
)
_HEADLESS = (_RETINANET, _MAKE_SENSE)
"""Columns of files without a header."""
_LONGEST_SIDE = 2**31
"""Pixels; no image is larger."""
_ONE_CLASS = "object"
"""The class of boxes in files without a column of classes."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the columns of a file are."""

    image: int
    label: int | None
    """None: the file has no classes."""
    edges: Sequence[int]
    """Those of a box, or a single one with a list."""
    names: Sequence[str]
    """The names of `edges`."""
    size: Sequence[int]
    """Those of the width and height of the image, if there are any."""
    split: int | None
    """None: the splits are in the names of files or folders, if there are any."""
    are_corners: bool
    """Whether the last two edges are right and bottom, instead of width and height."""
    are_centred: bool
    """Whether the first two edges are the centre."""
    has_header: bool


class CsvFormat(ReadFormat):
    """Csv files with a box per row, in pixels: corners, or size and upper left corner or centre.

    Columns are found by their usual names (`filename`, `class`, `xmin`, ...), those of Keras
    RetinaNet and make-sense by their order. Rows without numbers are images without boxes; images
    without a row are not read, since it is unknown whether they were annotated.
    """

    title = "CSV"
    layout = "a csv of boxes (filename, class, xmin, ymin, xmax, ymax), and its images"
    needs_images = True

    def detect(self, path: Path) -> bool:
        """Whether this is a csv file of boxes, or a folder with some and no other annotations."""
        files = [path] if path.is_file() else first_files(path, ".csv")
        return bool(_with_boxes(files)) and not (path.is_dir() and has_better(path))

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; the split comes from a column, or a file's name or folder."""
        files = _with_boxes([path] if path.is_file() else all_files(path, ".csv"))
        if not files:
            raise AnnotationError(f"{path}: not a csv of boxes ({self.layout})")
        root = path.parent if path.is_file() else path
        own: list[Record] = []
        others: list[Record] = []
        for file, columns in files.items():
            with faults.left_out(LABELS_BROKEN, file.name):
                found = own if split_of(file, root) else others
                found += _file(root, file, columns, faults)
        in_splits = {_key(record) for record in own}
        # A file with all boxes next to those of the splits repeats them.
        records = own + [record for record in others if _key(record) not in in_splits]
        if not records and not faults.found:
            raise AnnotationError(f"{path}: has no boxes, only a header")
        return Records(
            next(iter(files)) if len(files) == 1 else root / "boxes.csv",
            records,
            usual_images=root if list_files(root, IMAGE_SUFFIXES) else None,
        )


def _key(record: Record) -> str:
    """Return the name of a record's image as in its file."""
    return record.stem or record.names[-1]


def _with_boxes(files: Iterable[Path]) -> dict[Path, _Columns]:
    """Return the columns of the files that have boxes."""
    tables = (file for file in files if file.suffix.lower() == ".csv")
    found = {file: _columns(first_row(file)) for file in tables}
    return {file: columns for file, columns in found.items() if columns is not None}


def _columns(first: Sequence[str]) -> _Columns | None:
    """Return the columns of a file by its first line; None if it does not have boxes."""
    names = [_plain(name) for name in first]
    if {"imageid", "labelname", "xmin"} <= set(names):
        return None  # Open Images' boxes are in shares
    has_header = True
    for columns in _HEADLESS:
        place = next(columns.index(name) for name in _IMAGE if name in columns)
        if len(first) == len(columns) and _suffix(first[place]) in IMAGE_SUFFIXES:
            has_header = not all(map(_is_edge, first[1:5]))
            names = names if has_header else list(columns)
    image = next((names.index(name) for name in (*_IMAGE, *_IMAGE_TOO) if name in names), None)
    edges = next(
        (edges for edges in (*_CORNERS, *_SIZED, *_CENTRED) if set(edges) <= set(names)), None
    )
    if image is None or edges is None:
        return None
    label = next((names.index(name) for name in (*_CLASS, *_CLASS_TOO) if name in names), None)
    split = next((names.index(name) for name in _SPLIT if name in names), None)
    places = [names.index(edge) for edge in edges]
    others = set(names).difference(edges)
    size = next((size for size in _IMAGE_SIZES if set(size) <= others), ())
    sizes = [names.index(side) for side in size]
    kind = edges in _CORNERS, edges in _CENTRED
    return _Columns(image, label, places, edges, sizes, split, *kind, has_header)


def _file(root: Path, file: Path, columns: _Columns, faults: Faults) -> Iterator[Record]:
    """Yield a record for every image of a file."""
    folder, split = file.parent.relative_to(root).as_posix(), split_of(file, root)
    by_image: dict[str, list[tuple[int, list[str]]]] = {}
    optional = columns.label or 0, columns.split or 0
    width = max(columns.image, *optional, *columns.edges, *columns.size) + 1
    for line, cells in islice(lines(file), int(columns.has_header), None):
        # A truncated row lacks cells.
        row = cells + [""] * (width - len(cells))
        by_image.setdefault(row[columns.image].strip().replace("\\", "/"), []).append((line, row))
    if columns.label is None:
        warn_once(f"{file}: has no column of classes; all its boxes are of the class {_ONE_CLASS}")
    for image, own in by_image.items():
        where = f"{file}: line {own[0][0]}"
        if not image.strip("/. ") or "\0" in image:
            message = f"{where}: its image is {quoted(image)}, expected a file name"
            faults.note(IMAGE_BROKEN, where, message)
            continue
        entries = []
        for line, row in own:
            if any(row[edge].strip() for edge in columns.edges):
                at = f"{file}: line {line}"
                entries.append(Entry(at, partial(_box, row, columns, at)))
        whole = _suffix(image) in IMAGE_SUFFIXES
        yield Record(
            f"{where} ({image})",
            candidate_names(folder, image) if whole else [],
            entries,
            _size(own[0][1], columns),
            stem=None if whole else image,
            near="" if folder == "." else folder,
            split=_split(own[0][1], columns) or split,
        )


def _box(row: Sequence[str], columns: _Columns, where: str, size: Size) -> LabelledBox:
    """Return the box of a row; the size is unused."""
    cells = [row[edge].strip() for edge in columns.edges]
    if len(cells) == 1:
        numbers = _list(cells[0], where)
    else:
        named = zip(cells, columns.names, strict=True)
        numbers = [number(cell, name, where) for cell, name in named]
    left, top, right, bottom = numbers
    if columns.are_centred:
        left, top = left - right / 2, top - bottom / 2
    if not columns.are_corners:
        right, bottom = left + right, top + bottom
    label = _ONE_CLASS if columns.label is None else row[columns.label].strip()
    return LabelledBox(label, (left, top, right, bottom))


def _split(row: Sequence[str], columns: _Columns) -> str:
    """Return the split in a row; empty if it names none of the usual ones."""
    name = "" if columns.split is None else row[columns.split].strip().lower()
    return canonical_split(name) if name in SPLIT_NAMES else ""


def _size(row: Sequence[str], columns: _Columns) -> Size | None:
    """Return the size of a row's image, which its file must have; None if there is none.

    Next to corners, `width` and `height` may be those of the box.
    """
    sides = [side for place in columns.size if (side := _side(row[place]))]
    if len(sides) != 2:
        return None
    width, height = sides
    if columns.are_corners:
        left, top, right, bottom = (_side(row[edge]) for edge in columns.edges)
        if abs(right - left - width) <= 1 and abs(bottom - top - height) <= 1:
            return None
    return width, height


def _side(text: str) -> int:
    """Return a width or height in pixels, also one with decimals; 0 if it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0
    return int(value) if 1 <= value < _LONGEST_SIDE else 0


def _list(text: str, where: str) -> list[float]:
    """Return the numbers of a cell like `[834.0, 222.0, 56.0, 36.0]`."""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != 4:
        raise AnnotationError(f"{where}: bbox is {quoted(text)}, expected [x, y, width, height]")
    return [number(value, "bbox", where) for value in values]


def _plain(name: str) -> str:
    """Return the name of a column in lower case, without signs: `X_min` is `xmin`."""
    return "".join(char for char in name.lower() if char.isalnum())


def _suffix(name: str) -> str:
    return PurePosixPath(name.strip().replace("\\", "/")).suffix.lower()


def _is_edge(text: str) -> bool:
    """Whether a cell is an edge of a RetinaNet box: a number, or empty."""
    try:
        return not text.strip() or float(text) >= 0
    except ValueError:
        return False
