"""Open Images' csv files: a box per row, in shares of its image, with a class label."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from sparsedet.annotations.faults import Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.wording import counted

from ..conversion import LabelledBox
from ..image_folders import list_files
from ..once import warn_once
from .csv_tables import first_row, lines, rows
from .file_kinds import all_files, first_files
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import number

_EDGES = ("XMin", "YMin", "XMax", "YMax")
_NEEDED = ("ImageID", "LabelName", *_EDGES)
_FLAGS = ("IsOccluded", "IsTruncated", "IsDepiction", "IsInside")
_GROUP = "IsGroupOf"
_NAMES = ("class-descriptions", "class_descriptions", "classes")
"""Part of the names of files with class names."""


class OpenImagesFormat(ReadFormat):
    """Open Images.

    Its csv files list millions of images, of which people have only some: images are read if they
    are in the image folder and have a row. Group boxes become crowd regions. Images without a box
    are not read, since it is unknown what was annotated there; image-level labels
    (`--image-labels`) say more.
    """

    title = "Open Images"
    layout = "Open Images' csv of boxes (ImageID, LabelName, XMin, ...), and its images"
    needs_images = True

    def detect(self, path: Path) -> bool:
        """Whether this is a csv file of boxes, or a folder with some."""
        return bool(_with_boxes([path] if path.is_file() else first_files(path, ".csv")))

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; the split comes from a file's name or folder."""
        files = _with_boxes([path] if path.is_file() else all_files(path, ".csv"))
        if not files:
            raise AnnotationError(f"{path}: not a csv file of Open Images ({self.layout})")
        root = path.parent if path.is_file() else path
        folder, stems = _images(root, images)
        names = _class_names(root)
        records = []
        passed: set[str] = set()
        for file in files:
            by_image, others = _rows_by_image(file, stems)
            passed |= others
            words = (*file.stem.lower().replace("_", "-").split("-"), *_folders(file, root))
            split = next((canonical_split(word) for word in words if word in SPLIT_NAMES), "")
            near = next((word for word in words if word in SPLIT_NAMES), "")
            for image, own in by_image.items():
                entries = []
                for line, row in own:
                    where = f"{file}: line {line}"
                    entries.append(Entry(where, partial(_box, row, names, where)))
                records.append(
                    Record(f"{file}: {image}", [], entries, stem=image, near=near, split=split)
                )
        if not records and not passed:
            raise AnnotationError(f"{path}: has no boxes, only a header")
        if not records:
            raise AnnotationError(
                f"{folder}: {files[0]} has boxes on {counted(len(passed), 'image')}, but none is "
                "here; is this the folder of the images (--images)?"
            )
        if passed:
            not_there = counted(len(passed), "image is", "images are")
            warn_once(f"{path}: {not_there} not in {folder}")
        # Image-level labels find their class by it.
        keys = {name: {"label": label} for label, name in names.items()}
        return Records(root / "boxes.csv", records, class_keys=keys, images=folder)


def _with_boxes(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.suffix.lower() == ".csv" and _has_boxes(file)]


def _has_boxes(file: Path) -> bool:
    return set(_NEEDED) <= {name.strip() for name in first_row(file)}


def _folders(file: Path, root: Path) -> list[str]:
    return [part.lower() for part in file.relative_to(root).parts[:-1]]


def _images(root: Path, images: Path | None) -> tuple[Path, frozenset[str]]:
    """Return the image folder, and the stems of its images."""
    if images is not None and not images.is_dir():
        raise AnnotationError(f"{images}: no such image folder (--images)")
    # FiftyOne puts the csv into `labels/`, next to `data/`.
    nearby = [root.parent / "data"] if root.name == "labels" else []
    places = [images] if images else [root / "images", root, *nearby]
    for folder in places:
        names = list_files(folder, IMAGE_SUFFIXES) if folder.is_dir() else []
        if names:
            return folder, frozenset(PurePosixPath(name).stem for name in names)
    raise AnnotationError(f"{root}: no images here; pass their folder with --images")


def _rows_by_image(
    file: Path, known: frozenset[str]
) -> tuple[dict[str, list[tuple[int, Mapping[str, str]]]], set[str]]:
    """Return the rows of every known image with their line numbers, and the ids of other images."""
    found: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
    others: set[str] = set()
    for line, row in rows(file):
        image = PurePosixPath(row["ImageID"].strip()).name
        plain = image if image in known else PurePosixPath(image).stem
        if plain in known:
            found.setdefault(plain, []).append((line, row))
        else:
            others.add(image)
    return found, others


def _class_names(root: Path) -> dict[str, str]:
    """Return class names by label, from any file that lists them."""
    names: dict[str, str] = {}
    for folder in dict.fromkeys((root, root.parent)):
        for file in all_files(folder, ".csv") if folder == root else _metadata(folder):
            if any(word in file.stem.lower() for word in _NAMES) and not _has_boxes(file):
                names |= _two_columns(file)
        if names:
            break
    return names


def _metadata(folder: Path) -> Sequence[Path]:
    """Return the csv files next to a folder: FiftyOne has class names in `metadata/`."""
    files = (*folder.glob("*.csv"), *folder.glob("metadata/*.csv"))
    return sorted(file for file in files if not file.name.startswith("."))


def _two_columns(file: Path) -> dict[str, str]:
    pairs = [row for _, row in lines(file) if len(row) == 2]
    return {label.strip(): name.strip() for label, name in pairs if name.strip() != "DisplayName"}


def _box(row: Mapping[str, str], names: Mapping[str, str], where: str, size: Size) -> LabelledBox:
    """Return the box of a row on an image of (width, height)."""
    left, top, right, bottom = (number(row[edge], edge, where) for edge in _EDGES)
    label = row["LabelName"].strip()
    extra = {key: 1 for key in _FLAGS if row.get(key, "").strip() == "1"}
    xyxy = (left * size[0], top * size[1], right * size[0], bottom * size[1])
    group = row.get(_GROUP, "").strip() == "1"
    return LabelledBox(names.get(label, label), xyxy, extra=extra, iscrowd=group)
