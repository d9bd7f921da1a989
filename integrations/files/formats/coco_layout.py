"""The JSON files of a COCO folder, and their image folders.

A folder may have a file per split: `train.json`, `train/_annotations.coco.json` as exported by
Roboflow, or `annotations/instances_train2017.json` with the images in `train2017/`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sparsedet.annotations.image_names import IMAGE_SUFFIXES, without_upload_hash
from sparsedet.formats import SPLIT_NAMES, canonical_split
from sparsedet.loop.workspace import Workspace, enclosing
from sparsedet.mining.detection_file import IMAGES_SUFFIX

from .alike_names import AlikeFiles, note_alike
from .image_folders import is_dangling, list_files, normal
from .other_tools.file_kinds import json_kind

_FOLDERS = ("", "annotations", "Annotations", "labels")
"""Patterns of a folder's JSON files, relative to it."""
_SPLIT = "|".join(sorted(SPLIT_NAMES, key=len, reverse=True))
_SPLIT_FILE = re.compile(
    rf"(?:instances[-_]|annotations?[-_.])?(?P<split>{_SPLIT})(?P<year>[-_]?\d{{2,4}})?"
    r"(?:[-_.](?:annotations?|coco|instances))*",
    re.I,
)
_PREFIXED = re.compile(rf"(?P<prefix>.+?)[-_.]{_SPLIT_FILE.pattern}", re.I)
"""`pets_train.json`, `lvis_v1_val.json`: splits if the other file differs in the split only."""
_NAMED_LIKE_SPLIT = re.compile(
    rf"(?:instances[-_]|annotations?[-_.])?(?P<split>{_SPLIT})(?![a-z]).*", re.I | re.S
)
"""`train.json`, and `train_part1.json` as well."""
_OTHER_TASKS = re.compile(
    r"(?:person_)?keypoints|captions|panoptic|stuff|image_info", re.IGNORECASE
)
"""COCO's and CVAT's names of files that have the same images as `instances_default.json`."""
_REMOVED = "removed.json"
"""What `sparsedet split` removed from its `train.json`."""
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
    if splits := splits or _prefixed_splits(folder):
        if "train" not in splits and any(split == "train" for split, _ in _like_splits(folder)):
            return []  # a part of the data would be taken for all of it
        order = [split for split in ("train", "val", "test") if split in splits]
        return [CocoPart(splits[split], split) for split in order]
    files = [file for place in _FOLDERS for file in _json_files(folder / place)]
    if any(file.stem.lower().startswith("instances") for file in files):
        files = [file for file in files if not _OTHER_TASKS.match(file.stem)]
    return [CocoPart(files[0])] if len(files) == 1 else []


def unread_files(folder: Path, parts: Sequence[CocoPart]) -> list[Path]:
    """Return the COCO files of boxes in a folder that are none of its parts."""
    own = Workspace(folder)
    if own.annotations.is_file() or own.settings_file.is_file():
        return []  # its only data, whatever is next to it
    files = [file for place in _FOLDERS for file in _json_files(folder / place)]
    files += [file for _, file in _like_splits(folder)]
    used = {part.file for part in parts}
    return [
        file
        for file in dict.fromkeys(files)
        if not (file in used or file.name == _REMOVED or _OTHER_TASKS.match(file.stem))
    ]


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
    # Exact names first, then those that match only at the end, or in other capitals.
    for searched in _SEARCHES:
        for folder in candidates:
            found_in = searched(folder)
            held = sum(bool(found_in(name)) for name in sample)
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
    another machine. Case and Unicode form may differ, too. If no file is where its name without
    folders says, they may be in sub-folders. A name that matches no file or several ones is left
    out.
    """
    found = {name: name for name in names if _is_file(folder, name)}
    _add(found, names, lambda name: next((e for e in _ends(name) if _is_file(folder, e)), None))
    known = len(found)
    files = AlikeFiles(folder)
    _add(found, names, lambda name: None if _is_rooted(name) else files.find(name))
    _add(found, names, lambda name: _found_alike(files, name))
    note_alike(folder, dict(islice(found.items(), known, None)))
    bare = [name for name in names if _is_bare(name)]
    if bare and not any(name in found for name in bare):
        inner = _only_inner(folder)
        _add(found, bare, inner.get)
    return found


def _is_bare(name: str) -> bool:
    """Whether a name has no folder, so that the file may be in any."""
    return "/" not in name and ":" not in name


def _only_inner(folder: Path) -> dict[str, str]:
    """Return the images in sub-folders by their last part, if no other one has it."""
    found: dict[str, list[str]] = {}
    for name in list_files(folder, IMAGE_SUFFIXES):
        found.setdefault(PurePosixPath(name).name, []).append(name)
    return {last: same[0] for last, same in found.items() if len(same) == 1}


def _add(found: dict[str, str], names: Sequence[str], find: Callable[[str], str | None]) -> None:
    """Add the files that exactly one of the names without a file leads to."""
    taken = set(found.values())
    owners: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        file = None if name in found else find(name)
        if file is not None and file not in taken:
            owners.setdefault(file, []).append(name)
    found.update({same[0]: file for file, same in owners.items() if len(same) == 1})


def _split_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield split and file, the likeliest files of a split first."""
    for place in _FOLDERS:
        for file in _json_files(folder / place):
            if match := _SPLIT_FILE.fullmatch(file.stem):
                yield canonical_split(match["split"]), file
    for split, inner in _split_folders(folder):
        files = _json_files(inner)
        roboflow = [file for file in files if file.name.startswith("_annotations.coco")]
        if roboflow or len(files) == 1:
            yield split, (roboflow or files)[0]


def _split_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    for inner in sorted(folder.iterdir()):
        split = canonical_split(inner.name)
        if inner.is_dir() and split in ("train", "val", "test"):
            yield split, inner


def _like_splits(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield split and file, for all files that are named or placed like one of a split."""
    for place in _FOLDERS:
        for file in _json_files(folder / place):
            if match := _NAMED_LIKE_SPLIT.fullmatch(file.stem):
                yield canonical_split(match["split"]), file
    for split, inner in _split_folders(folder):
        yield from ((split, file) for file in _json_files(inner))


def _prefixed_splits(folder: Path) -> dict[str, Path]:
    """Return the files of splits whose names have the same prefix, if no other prefix has two."""
    groups: dict[str, dict[str, Path]] = {}
    for place in _FOLDERS:
        for file in _json_files(folder / place):
            if match := _PREFIXED.fullmatch(file.stem):
                group = groups.setdefault(match["prefix"], {})
                group.setdefault(canonical_split(match["split"]), file)
    several = [group for group in groups.values() if len(group) > 1]
    return several[0] if len(several) == 1 else {}


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
    if is_dangling(path):
        return _SPLIT_FILE.fullmatch(path.stem) is not None
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
    match = _SPLIT_FILE.fullmatch(file.stem) or _PREFIXED.fullmatch(file.stem)
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


def _is_held(folder: Path, name: str) -> bool:
    return any(_is_file(folder, end) for end in _ends(name))


def _found_alike(files: AlikeFiles, name: str) -> str | None:
    whole = () if _is_rooted(name) else (name,)
    return next((file for end in (*whole, *_ends(name)) if (file := files.find(end))), None)


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
    """Yield a name without its first folder, without its first two, ...

    If it may be quoted as in an address (`a%20b.jpg`), the same and the whole follow unquoted. Last
    is the name without the prefix of an upload: Label Studio can export COCO without images.
    """
    if "://" in name:
        with suppress(ValueError):  # brackets without an IPv6 address
            name = unquote(urlsplit(name).path)
    parts = [part for part in name.split("/") if part]
    first = 0 if _is_rooted(name) else 1
    for start in range(first, len(parts)):
        yield "/".join(parts[start:])
    plain = unquote(name)
    if plain != name:
        parts = [part for part in plain.split("/") if part]
        for start in range(len(parts)):
            yield "/".join(parts[start:])
    if parts and (original := without_upload_hash(parts[-1])) != parts[-1]:
        yield original


_SEARCHES: tuple[Callable[[Path], Callable[[str], object]], ...] = (
    lambda folder: partial(_is_file, folder),
    lambda folder: partial(_is_held, folder),
    lambda folder: partial(_found_alike, AlikeFiles(folder)),
)
"""How the name of an image is looked up in a folder: from exact to lenient."""
