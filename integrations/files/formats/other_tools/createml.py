"""CreateML's JSON: a list of images with their boxes, by center and size in pixels."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sparsedet.annotations.faults import IMAGE_BROKEN, Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.reading import quoted, read_list

from ..conversion import LabelledBox
from .file_kinds import candidate_names, has_json, split_of
from .json_records import json_records
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import number

_IMAGE_KEYS = ("image", "imagefilename", "filename")
_BOX_KEYS = ("annotations", "annotation")


class CreateMlFormat(ReadFormat):
    """CreateML, as exported by Roboflow and LabelImg: one file, or one per split."""

    title = "CreateML"
    layout = "CreateML's .json file next to the images, or one in train/, valid/ and test/"
    needs_images = True

    def detect(self, path: Path) -> bool:
        """Whether this is a CreateML file, or a folder with some."""
        return has_json(path, "createml")

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; the split comes from a file's folder or name."""
        expected = f"a CreateML file ({self.layout})"
        found = json_records(path, "createml", expected, faults, _file)
        return Records(found.root / "labels.json", found.records)


def _file(root: Path, file: Path, faults: Faults) -> list[Record]:
    try:
        entries = read_list(file)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    folder, split = file.parent.relative_to(root).as_posix(), split_of(file, root)
    records = []
    for place, entry in enumerate(entries, start=1):
        with faults.left_out(IMAGE_BROKEN, f"{file.name}: image {place}"):
            records.append(_image(entry, f"{file}: image {place}", folder, split))
    return records


def _image(entry: object, where: str, folder: str, split: str) -> Record:
    if not isinstance(entry, Mapping):
        raise AnnotationError(f"{where}: is {quoted(entry)}, expected an object")
    name = next((entry[key] for key in _IMAGE_KEYS if key in entry), None)
    boxes = next((entry[key] for key in _BOX_KEYS if key in entry), None)
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise AnnotationError(f"{where}: its image is {quoted(name)}, expected a file name")
    if not isinstance(boxes, list):
        raise AnnotationError(f"{where}: has no list of annotations")
    plain = name.strip().replace("\\", "/")
    entries = []
    for place, box in enumerate(boxes, start=1):
        at = f"{where} ({plain}): annotation {place}"
        entries.append(Entry(at, partial(_box, box, at)))
    return Record(f"{where} ({plain})", candidate_names(folder, plain), entries, split=split)


def _box(entry: object, where: str, size: Size) -> LabelledBox:
    """Return a box; the size is unused."""
    at = entry.get("coordinates") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(at, Mapping):
        raise AnnotationError(f"{where}: has no coordinates")
    label = entry.get("label")
    if not isinstance(label, str) or not label.strip():
        raise AnnotationError(f"{where}: its label is {quoted(label)}, expected text")
    x, y, width, height = (number(at.get(key), key, where) for key in ("x", "y", "width", "height"))
    return LabelledBox(
        label.strip(), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    )
