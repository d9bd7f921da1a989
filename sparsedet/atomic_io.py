"""Atomic writes: a crash leaves the old content or the new, never a mix."""

import errno
import filecmp
import gc
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparsedet.errors import SparseDetError
from sparsedet.reading import read_json as read_json  # most modules that write JSON also read it

_LONGEST_NAME = 230
"""Bytes; file systems allow 255, and temporary names are longer."""
_HALF_WRITTEN = ".*.tmp"
"""Pattern of the names that `_temporary` returns."""
_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_TEMPORARY = re.compile(r"\..+\.[0-9]{1,9}\.tmp(-journal|-wal|-shm)?")


@contextmanager
def atomic_path(target: Path, *, durable: bool = True, through_link: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `target`, which replaces `target` if the block succeeds.

    The data is flushed to disk before the rename, so that a power cut can't leave an empty file.
    If `target` is a symbolic link, the file that it leads to is replaced, and the link stays:
    others may read that file by its own name.

    Args:
        target: the file to write.
        durable: also flush the name after the rename: once the block has ended, no power cut brings
            the old file back. Not necessary for files that can be fetched again, such as images.
        through_link: False replaces a link itself, for copies in a cache: what it leads to is the
            original.

    Raises:
        SparseDetError: when a link leads into a missing folder, or `target` is a device or pipe,
            which a file must not replace.
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        raise SparseDetError(f"{target}: is not a regular file; choose another one")
    if through_link and target.is_symlink():
        link, target = target, Path(os.path.realpath(target))
        if not target.parent.is_dir():
            raise SparseDetError(
                f"{link}: a link to {target}, whose folder is missing: is its drive mounted?"
            )
    make_folder(target.parent)
    temporary = _temporary(target)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        if durable:
            sync_folder(target.parent)
    except OSError as error:
        # Users know only the target, and a write to a full disk names no file at all.
        is_unnamed = error.filename is None and error.errno in _OF_DISK
        if is_unnamed or str(error.filename) == str(temporary):
            error.filename = str(target)
        raise
    finally:
        # On a read-only disk even the removal of a missing file fails, with the temporary name.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder next to `target`, which becomes `target` if the block succeeds.

    Nothing is ever overwritten: a `target` with exactly the same files is kept, and any other
    content is an error. An empty `target` is filled, the entries in the order in which they were
    written: it may be the current folder of a shell, or have permissions of its own.

    Raises:
        SparseDetError: when `target` exists with other content, or can't be created.
    """
    target = target.resolve()
    # The parent of a mounted folder is on another disk, and is often read-only.
    temporary = _temporary(target / target.name if target.is_mount() else target)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise SparseDetError(f"{target}: can't be created ({error.strerror})") from error
    try:
        yield temporary
        if not target.exists():
            sync_folder(temporary)
            temporary.replace(target)
            sync_folder(target.parent)
        elif is_empty_folder(target):
            for entry in sorted(temporary.iterdir(), key=lambda path: path.stat().st_mtime_ns):
                # Unlike a rename, this also works across disks.
                shutil.move(entry, target / entry.name)
            sync_folder(target)
        elif not _same_content(temporary, target):
            raise SparseDetError(
                f"{target}: exists already with other content; choose another folder, or "
                "remove this one"
            )
    except OSError as error:
        # As above.
        if error.filename is None and error.errno in _OF_DISK:
            error.filename = str(target)
        elif error.filename and Path(os.fsdecode(error.filename)).is_relative_to(temporary):
            inside = Path(os.fsdecode(error.filename)).relative_to(temporary)
            error.filename = str(target / inside)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, flushing their names."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's directory entries to disk.

    Does nothing if the system or disk can't, as on Windows and some network drives.
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
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # Lone surrogates: bytes of file names that are not UTF-8.
        data = json.dumps(value, indent=indent).encode()
    write_bytes(target, data + b"\n")


def is_empty_folder(path: Path) -> bool:
    """Return whether there is a folder without content; unfinished files don't count."""
    return path.is_dir() and all(entry.match(_HALF_WRITTEN) for entry in path.iterdir())


def remove_half_written(folder: Path) -> None:
    """Remove unfinished files of killed processes below `folder`; nobody may be writing there."""
    for path in folder.rglob(_HALF_WRITTEN):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_half_written(path: Path) -> bool:
    """Return whether a file or folder has a temporary name.

    SQLite's files of a temporary ledger are temporary, too.
    """
    return _TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def without_collector() -> Iterator[None]:
    """Disable the garbage collector in the block.

    A million new objects trigger it again and again, and none is garbage while a file is read.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _temporary(target: Path) -> Path:
    """Return the path next to `target` to write to."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return target.with_name(f".{name}.{os.getpid()}.tmp")


def _same_content(temporary: Path, target: Path) -> bool:
    names = _files_below(temporary)
    # The temporary folder may be in the other one.
    return names == {
        name for name in _files_below(target) if temporary not in (target / name).parents
    } and all(filecmp.cmp(temporary / name, target / name, shallow=False) for name in names)


def _files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
