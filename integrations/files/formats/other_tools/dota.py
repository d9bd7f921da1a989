"""DOTA: a text file of rotated boxes per image in `labelTxt/`, and images in `images/`."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from sparsedet.annotations.faults import LABELS_BROKEN, Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import SPLIT_NAMES
from sparsedet.reading import read_text
from sparsedet.wording import counted

from ..conversion import LabelledBox
from ..image_folders import is_dangling, list_files
from .file_kinds import first_files
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import number, outlined

_FOLDER = "labeltxt"
"""Prefix of label folders, in lower case: `labelTxt`, `labelTxt-v1.5`."""
_HEADERS = ("imagesource:", "gsd:")
_CORNERS = 8
_HEADER_LINES = 3


class DotaFormat(ReadFormat):
    """DOTA, in the layouts of its authors, mmrotate (`annfiles/`) and Roboflow.

    A box is the upright bounding box of the four corners, which become its `segmentation`;
    `difficult` is kept as a key. Images without a file have no boxes.
    """

    title = "DOTA"
    layout = "a folder with labelTxt/*.txt (x1 y1 ... x4 y4 class difficult) and images/"
    needs_images = True

    def detect(self, path: Path) -> bool:
        """Whether a folder contains DOTA files."""
        return is_dota(path)

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; `train/`, `val/` and `test/` are splits."""
        if not is_dota(path):
            raise AnnotationError(f"{path}: not a DOTA folder ({self.layout})")
        root = path.parent if path.name.lower().startswith(_FOLDER) else path
        records = []
        names = _one_version(list_files(path, {".txt"}, dangling=True))
        files = {name: path / name for name in names}
        # In a label folder, a file without a valid line is broken, not another one.
        ours = {
            name: file
            for name, file in files.items()
            if _version(name)[1] or _is_dota_file(file) or _is_empty(file)
        }
        unread = set(ours)
        for name, file in ours.items():
            with faults.left_out(LABELS_BROKEN, name):
                records.append(_file(root, file))
                unread.remove(name)
        folder = root / "images"
        return Records(
            root / "labels.txt",
            records,
            images=None if images else folder if folder.is_dir() else root,
            unread=frozenset(ours[name].stem for name in unread),
            lists_images=False,
        )


def is_dota(path: Path) -> bool:
    """Whether a folder contains DOTA files."""
    return path.is_dir() and any(_is_dota_file(file) for file in first_files(path, ".txt"))


def _one_version(names: Sequence[str]) -> Iterator[str]:
    """Yield label files; if there are folders of several versions, only those of the last."""
    last: dict[str, str] = {}
    folders = [(name, *_version(name)) for name in names]
    for _, parent, version in folders:
        last[parent] = max(last.get(parent, ""), version)
    yield from (name for name, parent, version in folders if version in ("", last[parent]))


def _version(name: str) -> tuple[str, str]:
    """Return the parent and the name of a label folder."""
    parts = name.split("/")
    at = next((i for i, part in enumerate(parts[:-1]) if part.lower().startswith(_FOLDER)), None)
    return ("/".join(parts[:-1]), "") if at is None else ("/".join(parts[:at]), parts[at])


def _is_dota_file(file: Path) -> bool:
    """Whether the first lines of a file are DOTA's."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as opened:
            lines = [opened.readline(1000) for _ in range(_HEADER_LINES)]
    except OSError:
        return False
    return lines[0].startswith(_HEADERS[0]) or any(_is_line(line.split()) for line in lines)


def _is_line(words: Sequence[str]) -> bool:
    # The class is not a number: YOLO's rotated boxes have as many columns.
    return (
        len(words) > _CORNERS
        and all(map(_is_number, words[:_CORNERS]))
        and not _is_number(words[_CORNERS])
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_empty(file: Path) -> bool:
    return is_dangling(file) or file.stat().st_size == 0


def _file(root: Path, file: Path) -> Record:
    try:
        lines = read_text(file).splitlines()
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    entries = []
    for place, line in enumerate(lines, start=1):
        if line.strip() and not line.lower().startswith(_HEADERS):
            where = f"{file}: line {place}"
            entries.append(Entry(where, partial(_box, line.split(), where)))
    # The parent of the label folder, which also contains `images/`.
    inner = file.relative_to(root).parts[:-1]
    near = next((i for i, part in enumerate(inner) if part.lower().startswith(_FOLDER)), None)
    folder = "/".join(inner[: len(inner) - 1 if near is None else near])
    first = inner[0].lower() if inner else ""
    return Record(
        str(file),
        [],
        entries,
        stem=file.stem,
        near=folder,
        split=first if first in SPLIT_NAMES else "",
    )


def _box(words: Sequence[str], where: str, size: Size) -> LabelledBox:
    """Return the bounding box of a line's corners; the size is unused."""
    if len(words) <= _CORNERS:
        raise AnnotationError(
            f"{where}: {counted(len(words), 'column')}, expected x1 y1 x2 y2 x3 y3 x4 y4 class "
            "difficult"
        )
    values = [number(word, f"column {place}", where) for place, word in enumerate(words[:8], 1)]
    names = list(words[_CORNERS:])
    extra = {}
    if len(names) > 1 and names[-1] in ("0", "1", "2"):
        difficult = int(names.pop())
        extra = {"difficult": difficult} if difficult else {}
    corners = list(zip(values[::2], values[1::2], strict=True))
    return outlined(" ".join(names), corners, extra, where)
