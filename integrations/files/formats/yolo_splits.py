"""The splits of a YOLO dataset's yaml file: folders, lists of images, and where they are."""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sparsedet.annotations.faults import IMAGE_MISSING, Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.reading import quoted, read_text

from .alike_names import AlikeFiles
from .coco_layout import names_in
from .image_folders import list_files, normal
from .once import warn_once

SPLITS = ("train", "val", "test")


def data_folder(data: Path, content: Mapping[str, Any]) -> Path:
    """Return the folder of the dataset that a yaml file describes.

    It is the file's own, unless that has none of the images, and the yaml's `path` leads to a
    folder that does: Ultralytics keeps yaml files apart from data.

    Args:
        data: the yaml file.
        content: its content.
    """
    entries = [entry for split in SPLITS for entry in _entries(content, split)]

    def holds(folder: Path) -> bool:
        base = _base(folder, content.get("path"))
        return any(isinstance(e, str) and _find(folder, base, e) is not None for e in entries)

    if not entries or holds(data.parent):
        return data.parent
    found = next((folder for folder in tried_folders(data, content) if holds(folder)), None)
    if found is None:
        return data.parent
    warn_once(f"{data}: its data are in {found}, where its `path` leads")
    return found


def tried_folders(data: Path, content: Mapping[str, Any]) -> list[Path]:
    """Return the folders that a yaml's `path` may mean; they need not exist."""
    path = content.get("path")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        return []
    plain = path.strip().replace("\\", "/")
    if posixpath.normpath(plain) == ".":
        return []
    if PureWindowsPath(plain).drive:
        return [Path(plain)]
    # Relative to the file; Ultralytics takes it relative to where it is started.
    places = (normal(data.parent / plain), normal(Path(plain)))
    return [place for place in dict.fromkeys(places) if place != normal(data.parent)]


def _entries(content: Mapping[str, Any], split: str) -> list[Any]:
    """Return the places of a split; empty if it is not named."""
    # Ultralytics accepts `validation` for `val`, and Roboflow's folder is `valid`.
    keys = (split, *(name for name in SPLIT_NAMES if canonical_split(name) == split))
    value = next((content[key] for key in keys if content.get(key)), None)
    return value if isinstance(value, list) else [value] if value else []


def read_splits(
    root: Path, data: Path, content: Mapping[str, Any], faults: Faults
) -> dict[str, frozenset[str]]:
    """Return the images of every split, relative to `root`."""
    base = _base(root, content.get("path"))
    splits: dict[str, frozenset[str]] = {}
    missing: dict[str, str] = {}
    for split in SPLITS:
        entries = _entries(content, split)
        if not entries:
            continue
        found: set[str] = set()
        for entry in entries:
            if not isinstance(entry, str):
                raise AnnotationError(f"{data}: {split} is {quoted(entry)}, expected a path")
            place = _find(root, base, entry) or _find_alike(root, base, entry)
            if place is None and (place := _find_end(root, entry)) is not None:
                warn_once(f"{data}: {split} is {entry}; used {root / place}")
            if place is None:
                missing[split] = entry
            elif place.endswith(".txt"):
                found |= _read_list(root, base, place, faults)
            else:
                found |= set(images_below(root, place))
        splits[split] = frozenset(found)
    for split, entry in missing.items():
        warn_once(f"{data}: {split} is {entry}, which is not in {root}; left out")
    return {split: found for split, found in splits.items() if found or split not in missing}


def _base(root: Path, path: object) -> str:
    """Return the folder in a yaml's `path`, relative to `root`.

    It is often the dataset's path on another machine; then it is `root` itself.
    """
    inside = _inside(root, ".", path) if isinstance(path, str) else None
    return inside if inside is not None and (root / inside).is_dir() else "."


def _find_alike(root: Path, base: str, entry: str) -> str | None:
    """Return the file or folder whose name differs in case or Unicode form only."""
    files = AlikeFiles(root)
    places = (_inside(root, start, text) for start, text in _meant(base, entry))
    found = (files.find(place, folders=True) for place in places if place is not None)
    return next((place for place in found if place is not None), None)


def _find_end(root: Path, entry: str) -> str | None:
    """Return the end of a path of another machine that exists here.

    It has more than one part, or names a split: in `/content/pets/valid/images`, `images` alone
    may have the images of all splits.
    """
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(1, len(parts)):
        end = "/".join(parts[start:])
        is_plain = start == len(parts) - 1
        if is_plain and PurePosixPath(end).stem.lower() not in SPLIT_NAMES:
            return None
        if _inside(root, ".", end) is not None and (root / end).exists():
            return end
    return None


def _find(root: Path, base: str, entry: str) -> str | None:
    """Return the path of a file or folder named in a yaml or list, relative to `root`."""
    for start, text in _meant(base, entry):
        place = _inside(root, start, text)
        if place is not None and (root / place).exists():
            return place
    return None


def _meant(base: str, entry: str) -> Iterable[tuple[str, str]]:
    """Return what an entry may mean, as a start and a path from there.

    Roboflow writes `../train/images` and means `train/images`.
    """
    inner = entry.replace("\\", "/")
    while inner.startswith(("../", "./")):
        inner = inner.split("/", 1)[1]
    return ((base, entry), (".", entry), (base, inner), (".", inner))


def _inside(root: Path, start: str, text: str) -> str | None:
    """Resolve `text` from `start`, relative to `root`; None if it leaves `root`."""
    plain = text.replace("\\", "/")
    # A root may be given through links and `..`; absolute paths may use either form.
    for whole in dict.fromkeys((normal(root), root.resolve())):
        base = str(whole).replace("\\", "/")
        place = posixpath.normpath(posixpath.join(base, start, plain))
        if place == base or place.startswith(base.rstrip("/") + "/"):
            return posixpath.relpath(place, base)
    return None


def _read_list(root: Path, base: str, place: str, faults: Faults) -> set[str]:
    """Return the images listed in a file; `./` in it means the file's own folder.

    Paths on another machine, or of CVAT, have other leading folders.
    """
    found = set()
    path = root / place
    others: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not (text := line.strip()):
            continue
        start = posixpath.dirname(place) or "." if text.startswith("./") else base
        image = _find(root, start, text)
        if image is None:
            others[text.replace("\\", "/")] = f"{path}:{number}"
        else:
            found.add(image)
    elsewhere = names_in(root, list(others))
    for text, where in others.items():
        if text not in elsewhere:
            message = f"{where}: no image {text!r} in {root}"
            if not found and not elsewhere:
                raise AnnotationError(message)
            faults.note(IMAGE_MISSING, Path(where).name, message)
    return found.union(elsewhere.values())


def images_below(root: Path, place: str) -> list[str]:
    """Return the images in a folder, recursively, relative to `root`."""
    folder = root / place
    if not folder.is_dir():
        return []
    return [posixpath.normpath(f"{place}/{name}") for name in list_files(folder, IMAGE_SUFFIXES)]
