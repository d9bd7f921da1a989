"""Leftovers of killed processes: temporary files that nobody will finish."""

import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, LostAndFound

_TEMPORARY = re.compile(r"\..+?\.(?:\d+\.)?tmp")
"""Name pattern of `atomic_io`'s files."""
_FRESH_SECONDS = 3600.0


def check_leftovers(checked: Checked) -> Iterator[Finding]:
    """Find temporary files and folders that nobody writes to."""
    for path in _temporary(checked.workspace.root):
        yield Finding(
            "left-over",
            checked.name(path),
            "begun by a process that was killed; not needed",
            severity="warning",
            repair=partial(_set_aside, path),
        )


def _temporary(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            if _TEMPORARY.fullmatch(name) and not _is_being_written(path):
                yield path
        folders[:] = [
            name
            for name in folders
            if not _TEMPORARY.fullmatch(name)
            and not (name == LostAndFound.NAME and Path(folder) == root)
        ]


def _is_being_written(path: Path) -> bool:
    """Whether a command that takes no lock, such as a training, may be writing it now.

    Its process id would not tell: that may be of another container, or another machine.
    """
    try:
        return time.time() - path.stat().st_mtime < _FRESH_SECONDS
    except FileNotFoundError:
        return True  # it was, and has finished


def _set_aside(path: Path, lost: LostAndFound) -> str:
    lost.take(path)
    return f"{path.name} set aside"
