"""Unsupported formats of other tools, recognised for better error messages."""

import re
from pathlib import Path

_HEADER = 4096
"""Number of leading bytes to look at."""
_SHOWN_FILES = 20
"""Maximum number of files per folder to look at."""

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
_COCO = re.compile(rb'"(?:images|annotations|categories)"\s*:\s*\[')
_NAMES = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)
_ADVICE = "export the data as COCO, Pascal VOC, YOLO or CVAT XML"
_MARKS = (
    (".json", rb'"annotation_result"|"_via_', "VIA's JSON"),
    (".csv", rb"^ImageID,.*LabelName", "Open Images' labels of whole images (--image-labels)"),
    (".csv", rb"(?i)(xmin|x_min|x1).*(ymin|y_min|y1)", "a csv of boxes"),
)
"""Suffix, pattern near the beginning, and name of the format."""


def foreign_format(path: Path) -> str | None:
    """Return what a file or folder seems to be, and what to do; None if unknown."""
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
    for file in files:
        head = _head(file)
        for suffix, mark, name in _MARKS:
            if file.suffix.lower() == suffix and re.search(mark, head, re.MULTILINE):
                return f"looks like {name}, which is not supported; {_ADVICE}"
    return None


def _incomplete(folder: Path) -> str | None:
    """Return what a folder of a known format lacks; None if it is not one."""
    for pattern in ("*.json", "[aA]nnotations/*.json"):
        files = [file for file in sorted(folder.glob(pattern)) if _is_plain_file(file)]
        coco = [file for file in files[:_SHOWN_FILES] if _COCO.search(_head(file))]
        if len(coco) > 1:
            listed = ", ".join(file.relative_to(folder).as_posix() for file in coco)
            return f"has several COCO files ({listed}); pass one of them"
    yaml = [f for f in sorted(folder.glob("*.y*ml")) if f.is_file() and _NAMES.search(_head(f))]
    if len(yaml) > 1:
        listed = ", ".join(file.name for file in yaml[:_SHOWN_FILES])
        return f"has several yaml files of class names ({listed}); pass one of them"
    labels = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() == "labels"]
    if any(next(inner.rglob("*.txt"), None) for inner in labels):
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
