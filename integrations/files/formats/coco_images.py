"""Checks of a COCO file's images: names on disk, existence, readability, size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from sparsedet.annotations import faults as kinds
from sparsedet.annotations import upright_size
from sparsedet.annotations.entries import is_text, leaves_folder, name_of_entry
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.images import turned_hint
from sparsedet.errors import AnnotationError, UnreadableImageError
from sparsedet.push_modes import Progress

from .coco_layout import names_in
from .image_folders import SLIGHTLY


def plain_names(content: Any) -> list[str]:
    """Return the valid file names in a COCO file, with forward slashes."""
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        return []
    names = (name_of_entry(entry) for entry in entries if isinstance(entry, dict))
    return [name.replace("\\", "/") for name in names if isinstance(name, str) and "\0" not in name]


def with_names_of(folder: Path, content: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Return the content of a file with images named as in a folder."""
    found = names_in(folder, plain_names(content))
    images = []
    for entry in content["images"]:
        name = name_of_entry(entry) if isinstance(entry, dict) else None
        plain = name.replace("\\", "/") if isinstance(name, str) else ""
        if plain in found and found[plain] != name:
            if leaves_folder(plain):
                where = f"images id {entry.get('id')}"
                message = f"{faults.source}: {where}: file_name {name!r} leaves the image folder"
                faults.note(kinds.NAME_FOREIGN, where, message)
            entry = {**entry, "file_name": found[plain]}
        elif isinstance(name, str):
            entry = {**entry, "file_name": name}
        images.append(entry)
    return {**content, "images": images}


def checked_files(
    folder: Path, content: dict[str, Any], faults: Faults, progress: Progress
) -> dict[str, Any]:
    """Return the content of a file without images that are missing, broken or of a wrong size.

    Slightly wrong sizes are replaced by those of the files.
    """
    kept: list[Any] = []
    gone: list[Any] = []
    for done, entry in enumerate(content["images"], start=1):
        if not isinstance(entry, dict):
            kept.append(entry)  # reported as a fault of the entry
        elif (changed := _checked(folder, entry, faults)) is None:
            gone.append(entry.get("id"))
        else:
            kept.append(changed)
        progress("reading images", done, len(content["images"]))
    if not gone:
        return {**content, "images": kept}
    if not kept:
        faults.refuse(f"none of its images is usable, in {folder}")
    # A duplicate id may have become unique.
    left = [entry.get("id") for entry in kept if isinstance(entry, dict)]
    ids = {id for id in gone if isinstance(id, int | str | float)} - {
        id for id in left if isinstance(id, int | str | float)
    }
    return {**content, "images": kept} | {
        key: [
            entry
            for entry in content[key]
            if not (isinstance(entry, dict) and _id(entry.get("image_id")) in ids)
        ]
        for key in ("annotations", "background")
        if isinstance(content.get(key), list)
    }


def _checked(folder: Path, entry: Mapping[str, Any], faults: Faults) -> dict[str, Any] | None:
    name = entry.get("file_name")
    plain = name.replace("\\", "/") if isinstance(name, str) else ""
    if not plain or "\0" in plain or not is_text(plain):
        return dict(entry)  # reported as a fault of the entry
    where = f"images id {entry.get('id')} ({plain})"
    path = folder / plain
    if leaves_folder(plain):
        message = f"{faults.source}: {where}: not in {folder}, under any part of its name"
        faults.note(kinds.IMAGE_MISSING, where, message)
        return None
    try:
        actual = upright_size(path)
    except UnreadableImageError as error:
        if faults.keeps_unreadable:
            return dict(entry)
        faults.note(kinds.IMAGE_UNREADABLE, where, f"{faults.source}: {where}: {error}")
        return None
    except AnnotationError as error:
        message = f"{faults.source}: {where}: {error}; is this their folder (--images)?"
        faults.note(kinds.IMAGE_MISSING, where, message)
        return None
    width, height = entry.get("width"), entry.get("height")
    if not _is_number(width) or not _is_number(height) or (width, height) == actual:
        return dict(entry)
    stated = width, height
    if max(abs(a - b) for a, b in zip(stated, actual, strict=True)) > SLIGHTLY:
        message = (
            f"{faults.source}: {where}: {path} is {actual[0]} x {actual[1]} pixels upright, but "
            f"{stated[0]} x {stated[1]} in the annotations{turned_hint(path, stated, actual)}"
        )
        faults.note(kinds.SIZE_WRONG, where, message)
        return None
    message = f"{faults.source}: {where}: {path} is {actual[0]} x {actual[1]}, not {stated}"
    faults.note(kinds.SIZE_OFF, where, message)
    return {**entry, "width": actual[0], "height": actual[1]}


def _id(value: Any) -> Any:
    return value if isinstance(value, int | str | float) else None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
