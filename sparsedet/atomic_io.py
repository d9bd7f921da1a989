"""Writing files so that a crash leaves either the old content or the new, never half of it."""

import filecmp
import gc
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparsedet.errors import SparseDetError
from sparsedet.reading import read_json as read_json  # whoever writes JSON mostly reads it


@contextmanager
def atomic_path(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `target`; it replaces `target` when the block succeeds.

    The data is flushed to disk before the rename, so that a power cut can't leave an empty file.

    Args:
        target: the file to be written.
        durable: its name is flushed after the rename, too: once the block has ended, no power cut
            brings the old file back. What can be fetched again, as images can, need not wait.
    """
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        if durable:
            sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder next to `target`; it becomes `target` when the block succeeds.

    Nothing is ever overwritten: a `target` that holds exactly the same files already stays as it
    is, and any other content is an error.

    Raises:
        SparseDetError: when `target` exists with other content, or can't be created.
    """
    target = target.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise SparseDetError(f"{target}: can't be created ({error.strerror})") from error
    try:
        yield temporary
        if not target.exists() or _is_empty_folder(target):
            sync_folder(temporary)
            temporary.replace(target)
            sync_folder(target.parent)
        elif not _same_content(temporary, target):
            raise SparseDetError(
                f"{target}: exists already with other content, which is left as it is; "
                "choose another folder or remove this one"
            )
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, as far as they are missing; their names are flushed."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk: which files there are, and which one has which name.

    Where the system or the disk can't, as on Windows and some network drives, it is left to them.
    """
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data`, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def write_json(target: Path, value: Any, *, indent: int | None = None) -> None:
    """Write `value` as UTF-8 JSON, atomically."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def remove_half_written(folder: Path) -> None:
    """Remove what a killed process was about to write below `folder`; nobody may be at it now."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector from running.

    A million new objects set it off again and again, and while a file is read none is garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _same_content(one: Path, other: Path) -> bool:
    names = _files_below(one)
    return names == _files_below(other) and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names
    )


def _files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
