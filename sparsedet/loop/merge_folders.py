"""Folders in which merges keep what they replaced: `merged/001/`, a file per image."""

import hashlib
from pathlib import Path

from sparsedet.ledger import Source

UNDONE = ".undone"
"""Suffix of the folder of an undone merge."""


def image_file(folder: Path, source: Source, tool_id: str) -> Path:
    """Return the file of an image of a project; its id comes from a server and may be a path."""
    name = "\0".join((source.tool, source.url, source.project, tool_id))
    return folder / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.json"


def merges_below(root: Path) -> list[Path]:
    """Return the folders of merges to undo, oldest first; of those undone, unreported ones.

    One that was killed before it saved an image, or half-way through, replaced nothing.
    """
    folders = (path for path in _folders(root / "merged") if path.name.isdigit())
    return [path for path in folders if any(path.glob("*.json")) or is_undone(path)]


def is_undone(merge: Path) -> bool:
    """Return whether the folder of a merge is empty, since all of it was undone."""
    return not any(merge.glob("*.json")) and undone_folder(merge).is_dir()


def undone_folder(merge: Path) -> Path:
    """Return where the files of a merge go when it is undone."""
    return merge.with_name(merge.name + UNDONE)


def next_folder(backups: Path) -> Path:
    """Return the folder of the next merge, which does not exist yet."""
    names = [int(path.name.removesuffix(UNDONE)) for path in _folders(backups)]
    return backups / f"{max(names, default=0) + 1:03d}"


def _folders(backups: Path) -> list[Path]:
    found = backups.iterdir() if backups.is_dir() else ()
    return sorted(path for path in found if path.name.removesuffix(UNDONE).isdigit())
