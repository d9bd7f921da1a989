"""The JSON files of a COCO folder, and their image folders.

A folder may have a file per split: `train.json`, `train/_annotations.coco.json` as exported by
Roboflow, or `annotations/instances_train2017.json` with the images in `train2017/`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.loop.workspace import Workspace, enclosing
from sparsedet.mining.detection_file import IMAGES_SUFFIX

from .image_folders import normal
from .other_tools.file_kinds import json_kind

_FOLDERS = ("", "annotations", "Annotations", "labels")
"""Patterns of a folder's JSON files, relative to it."""
_SPLIT = "|".join(sorted(SPLIT_NAMES, key=len, reverse=True))
_SPLIT_FILE = re.compile(
    rf"(?:instances[-_]|annotations?[-_.])?(?P<split>{_SPLIT})(?P<year>[-_]?\d{{2,4}})?"
    r"(?:[-_.](?:annotations?|coco|instances))*",
    re.IGNORECASE,
)
_MARKS = (b'"images"', b'"annotations"', b'"categories"')
_HEADER = 2**16
"""Leading bytes in which a file must look like COCO."""
_SAMPLE = 200
"""Number of a file's images to look for in each folder."""


@dataclass(frozen=True, slots=True)
class CocoPart:
    """A JSON file and its split."""

    file: Path
    split: str | None = None
    """`train`, `val` or `test`; None if the file has everything."""


def find_parts(folder: Path) -> list[CocoPart]:
    """Return the JSON files of a folder: one with everything, or one per split.

    Nothing is found in folders with several unidentifiable files.
    """
    own = Workspace(folder)
    if own.annotations.is_file() or own.settings_file.is_file():
        return [CocoPart(own.annotations)]
    splits: dict[str, Path] = {}
    for split, file in _split_files(folder):
        splits.setdefault(split, file)
    if splits:
        order = [split for split in ("train", "val", "test") if split in splits]
        return [CocoPart(splits[split], split) for split in order]
    files = [file for place in _FOLDERS for file in _json_files(folder / place)]
    return [CocoPart(files[0])] if len(files) == 1 else []


def find_images(file: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of a file's images: the usual folder with most of them.

    Args:
        file: the JSON file.
        names: the file names in it, with forward slashes.
    """
    step = max(1, len(names) // _SAMPLE)
    sample = names[::step]
    best, most = None, 0
    candidates = [folder for folder in _image_folders(file) if folder.is_dir()]
    # Exact names first, then those that match only at the end.
    for shortened in (False, True):
        for folder in candidates:
            held = sum(_is_held(name, folder, shortened) for name in sample)
            if held > most:
                best, most = folder, held
        if most:
            return best
    usual = file.parent / "images"
    around = enclosing(file)
    if not usual.is_dir() and around is not None:
        usual = around.images
    return usual if usual.is_dir() else None


def names_in(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return names of files in a folder by their names in annotations.

    Leading folders of a name may be wrong: `images/` if that is the folder itself, or those of
    another machine. A name that matches no file or several ones is left out.
    """
    found: dict[str, str] = {}
    others = []
    for name in names:
        if _is_file(folder, name):
            found[name] = name
        else:
            others.append(name)
    taken = set(found.values())
    owners: dict[str, list[str]] = {}
    for name in others:
        end = next((end for end in _ends(name) if _is_file(folder, end)), None)
        if end is not None and end not in taken:
            owners.setdefault(end, []).append(name)
    found.update({same[0]: end for end, same in owners.items() if len(same) == 1})
    return found


def _split_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield split and file, the likeliest files of a split first."""
    for place in _FOLDERS:
        for file in _json_files(folder / place):
            if match := _SPLIT_FILE.fullmatch(file.stem):
                yield canonical_split(match["split"]), file
    for inner in sorted(folder.iterdir()):
        split = canonical_split(inner.name)
        if inner.is_dir() and split in ("train", "val", "test"):
            files = _json_files(inner)
            roboflow = [file for file in files if file.name.startswith("_annotations.coco")]
            if roboflow or len(files) == 1:
                yield split, (roboflow or files)[0]


def _json_files(folder: Path) -> list[Path]:
    """Return the files of a folder that look like COCO, sorted."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".json" and not path.name.startswith(".") and _is_coco(path)
    )


def _is_coco(path: Path) -> bool:
    if not path.is_file() or json_kind(path) is not None:
        return False
    # What `sparsedet predict` writes next to its results has no annotations.
    results = path.name.removesuffix(IMAGES_SUFFIX) + ".json"
    if path.name.endswith(IMAGES_SUFFIX) and path.with_name(results).is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEADER)
    return sum(mark in head for mark in _MARKS) > 1 or b'"file_name"' in head


def _image_folders(file: Path) -> Iterator[Path]:
    """Yield candidate folders of a file's images, the likeliest first."""
    here = normal(file).parent
    around = enclosing(file)
    match = _SPLIT_FILE.fullmatch(file.stem)
    # CVAT has `images/default/` for `instances_default.json`.
    own = [file.stem.partition("_")[2]] if file.stem.startswith("instances_") else []
    own += [match["split"] + (match["year"] or ""), match["split"]] if match else []
    if match:
        own += [n for n in SPLIT_NAMES if canonical_split(n) == canonical_split(match["split"])]
    usual = ("images", "Images", "JPEGImages", "data", "imgs", "img")
    yield here / "images"
    if around is not None:
        yield around.images
    for base in (here, here.parent):
        for folder in usual:
            yield from (base / folder / name for name in own)
        yield from (base / name / "images" for name in own)
        yield from (base / name for name in own)
        yield from (base / folder for folder in usual)
        yield base


def _is_held(name: str, folder: Path, shortened: bool) -> bool:
    if not shortened:
        return _is_file(folder, name)
    return any(_is_file(folder, end) for end in _ends(name))


def _is_file(folder: Path, name: str) -> bool:
    if ".." in PurePosixPath(name).parts or _is_rooted(name):
        return False
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name that is too long, or no text
        return False


def _is_rooted(name: str) -> bool:
    return name.startswith("/") or name[1:2] == ":"


def _ends(name: str) -> Iterator[str]:
    """Yield a name without its first folder, without its first two, ..."""
    parts = [part for part in name.split("/") if part]
    first = 0 if _is_rooted(name) else 1
    for start in range(first, len(parts)):
        yield "/".join(parts[start:])
