"""Unsupported formats of other tools, recognised for better error messages."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_HEADER = 4096
"""Number of leading bytes to look at."""
_SHOWN_FILES = 20
"""Maximum number of files per folder to look at."""
_DEEPEST, _MOST_ENTRIES, _MOST_ALIKE = 4, 5_000, 3
"""Levels of folders, their entries, and files per suffix, that are searched for marks."""

_IN_SPLITS = ("train/*.json", "val/*.json", "valid/*.json", "test/*.json")
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
_COCO = re.compile(
    rb'"(?:images|categories)"\s*:\s*\[|"annotations"\s*:\s*\[\s*\{[^{}]*"(?:image|category)_id"'
)
_NAMES = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)
_YOLO = re.compile(rb"\s*\d+(?:\.0*)?(?:\s+-?[\d.e-]+){4,}\s*$", re.MULTILINE)
_ADVICE = "export the data as COCO, Pascal VOC, YOLO or CVAT XML"
_CSV_ADVICE = "name them filename, class, xmin, ymin, xmax, ymax"
_UNKNOWN_COLUMNS = "a csv of boxes with unknown columns"
_NUMBER = rb"-?\d+(?:\.\d+)?"
_MARKS = (
    (".json", rb'"vid_list"\s*:|__VIA_PROJECT_ID__', "a project of VIA 3"),
    (".json", rb'"annotation_result"|"_via_|"vid_start"', "VIA's JSON"),
    (".json", rb'"classTitle"\s*:', "Supervisely's JSON"),
    (".json", rb'"label"\s*:\s*\{\s*"labels"\s*:|"dm_format_version"', "Datumaro's JSON"),
    (".json", rb'"className"\s*:|"attributeGroupName"\s*:', "SuperAnnotate's JSON"),
    (".json", rb'"bounding_box"\s*:\s*\{', "V7 Darwin's JSON"),
    (".json", rb'"bounding_box"\s*:\s*\[|"_media_type"\s*:', "FiftyOne's own format"),
    (".json", rb'"box2d"\s*:', "BDD100K's JSON"),
    (".json", rb'"bbox_mode"\s*:', "detectron2's list of dicts"),
    (".json", rb'"data_list"\s*:\s*\[|"bboxes"\s*:\s*\[', "MMDetection's own JSON"),
    (".json", rb'"data_row"\s*:|"External ID"\s*:', "Labelbox's JSON"),
    (
        ".json",
        rb'\A\s*\{[\s\S]*"(?:from_name|completed_by|was_cancelled|file_upload)"\s*:',
        "a single task of Label Studio (lists of tasks are read)",
    ),
    (".ndjson", rb'"data_row"\s*:', "Labelbox's JSON"),
    (".ndjson", rb'"class_names"\s*:|"type"\s*:\s*"image"', "NDJSON of Ultralytics"),
    (".ndjson", rb"^\s*\{", "JSON Lines"),
    (".jsonl", rb"^\s*\{", "JSON Lines"),
    (".manifest", rb'"source-ref"', "a manifest of SageMaker"),
    (".csv", rb"^ImageID,.*LabelName", "Open Images' labels of whole images (--image-labels)"),
    (".csv", rb"\A[^\n]*(annotation_id|lead_time)", "a csv of Label Studio (its JSON is read)"),
    (".tsv", rb"\A[^\n]*(annotation_id|lead_time)", "a tsv of Label Studio (its JSON is read)"),
    (".tsv", rb"\A[^\n]*\t", "a table with tabs (csv files with tabs are read)"),
    (".csv", rb"region_shape_attributes", "a csv of VIA (its JSON is read)"),
    (".csv", rb"^(TRAIN|TEST|VALIDATION?|UNASSIGNED),", "a csv of Google's AutoML"),
    (
        ".csv",
        rb"(?i)\A[^\n]*(?:x_?(?:min|[01]|cent)|cent\w*_?x\b|\bleft\b|b?box)[^\n]*"
        rb"(?:y_?(?:min|[01]|cent)|cent\w*_?y\b|\btop\b|\bclass|\blabel)",
        _UNKNOWN_COLUMNS,
    ),
    (".txt", rb"^[A-Za-z_]+(?: " + _NUMBER + rb"){14,15} *\r?$", "KITTI's labels"),
    (
        ".txt",
        rb"^(?:" + _NUMBER + rb", ?){7,9}" + _NUMBER + rb",? *\r?$",
        "VisDrone's or MOT's labels",
    ),
    (".txt", rb"^\S.*\.(?:jpe?g|png) \d+,\d+,\d+,\d+,\d+", "labels of YOLOv4 for PyTorch"),
    (".txt", rb"^\S+/\S+\.jpg\r?\n\d+\r?\n\d+ \d+ \d+ \d+ ", "WIDER FACE's labels"),
    (".txt", rb"^[A-Za-z][\w ]*(?: \d+\.\d+){4} *\r?$", "labels of OIDv4 ToolKit"),
    (".parquet", rb"^PAR1", "Parquet"),
    (".arrow", rb"", "Arrow"),
    (".tfrecord", rb"", "TensorFlow's records"),
    (".record", rb"", "TensorFlow's records"),
    (".pkl", rb"", "a pickle"),
    (".mat", rb"", "MATLAB's data"),
)
"""Suffix, pattern near the beginning, and name of the format."""


def foreign_format(path: Path) -> str | None:
    """Return what a file or folder seems to be, and what to do; None if unknown.

    Sub-folders are not searched, see `foreign_inside`.
    """
    if path.is_file() and path.suffix.lower() in _ARCHIVES:
        return "is an archive; extract it, and pass the folder"
    if path.is_dir():
        broken = (p for p in sorted(path.iterdir()) if p.is_symlink() and not p.exists())
        if (link := next(broken, None)) is not None:
            return f"{link.name} is a link to {link.readlink()}, which does not exist"
        if (incomplete := _incomplete(path)) is not None:
            return incomplete
        files = sorted(entry for entry in path.iterdir() if entry.is_file())[:_SHOWN_FILES]
    else:
        files = [path]
    return next((said for file in files if (said := _marked(file)) is not None), None)


def foreign_inside(folder: Path) -> str | None:
    """Return what the files below a folder without a known format seem to be; None if unknown."""
    files = list(_first_files(folder))
    for file in files:
        if (said := _marked(file, f" ({file.relative_to(folder).as_posix()})")) is not None:
            return said
    archive = next((file for file in files if file.suffix.lower() in _ARCHIVES), None)
    if archive is None:
        return None
    return f"no annotations here, but the archive {archive.relative_to(folder)}; extract it"


def _marked(file: Path, where: str = "") -> str | None:
    """Return which format a file seems to have, and what to do."""
    suffix = file.suffix.lower()
    marks = [(mark, name) for own, mark, name in _MARKS if own == suffix]
    head = _head(file) if marks else b""
    name = next((name for mark, name in marks if re.search(mark, head, re.MULTILINE)), None)
    if name == _UNKNOWN_COLUMNS:
        return f"looks like {name}{where}; {_CSV_ADVICE}"
    return name and f"looks like {name}{where}, which is not supported; {_ADVICE}"


def _first_files(folder: Path) -> Iterator[Path]:
    """Yield a few files of every suffix, those of a folder before those of its sub-folders."""
    counts: Counter[str] = Counter()
    level, left = [folder], _MOST_ENTRIES
    for _ in range(_DEEPEST):
        inner = []
        for place in level:
            with os.scandir(place) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name)[:left]:
                    left -= 1
                    path = Path(entry.path)
                    if entry.name.startswith((".", "__")) or entry.is_symlink():
                        continue
                    if entry.is_dir():
                        inner.append(path)
                    elif entry.is_file() and counts[path.suffix.lower()] < _MOST_ALIKE:
                        counts[path.suffix.lower()] += 1
                        yield path
        level = inner


def _incomplete(folder: Path) -> str | None:
    """Return what a folder of a known format lacks; None if it is not one."""
    for patterns in (("*.json",), ("[aA]nnotations/*.json",), _IN_SPLITS):
        found = (file for pattern in patterns for file in sorted(folder.glob(pattern)))
        files = [file for file in found if _is_plain_file(file)]
        coco = [file for file in files[:_SHOWN_FILES] if _COCO.search(_head(file))]
        if len(coco) > 1:
            listed = ", ".join(file.relative_to(folder).as_posix() for file in coco)
            return f"has several COCO files ({listed}); pass one of them"
    yaml = [f for f in sorted(folder.glob("*.y*ml")) if f.is_file() and _NAMES.search(_head(f))]
    if len(yaml) > 1:
        listed = ", ".join(file.name for file in yaml[:_SHOWN_FILES])
        return f"has several yaml files of class names ({listed}); pass one of them"
    labels = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() == "labels"]
    texts = [file for inner in labels for file in _first_files(inner) if file.suffix == ".txt"]
    if any(_YOLO.match(_head(file)) for file in texts):
        return (
            "looks like YOLO without class names; list them in a file classes.txt there, one per "
            "line, in the order of their numbers"
        )
    return None


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_HEADER)
