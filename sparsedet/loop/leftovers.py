"""Files in a workspace that killed processes left half-written."""

import shutil
from contextlib import suppress
from pathlib import Path

from sparsedet.atomic_io import is_half_written

_OWN = (
    "sparsedet.toml",
    "annotations.json",
    "images.index.json",
    "ledger.sqlite",
    "ledger.read.json",
    "owner.id",
)
"""A workspace may be in a folder with other files."""
_RUN = "run"
"""The folder of a round's training."""


def remove_leftovers(workspace: Path) -> None:
    """Remove a workspace's half-written files, which killed processes left.

    A training takes no lock of the workspace: its run's are left to the next training of that run.
    Those of images are removed by the next pull.

    Args:
        workspace: its folder, locked, so that nobody is writing the others. A process id would not
            tell: the writer may be in another container, or on another machine.
    """
    found = [path for name in _OWN for path in workspace.glob(f".{name}.*.tmp*")]
    for folder in (workspace / "merged", workspace / "rounds"):
        if not folder.is_symlink():
            found += folder.rglob(".*.tmp*")
    for path in found:
        if not is_half_written(path) or _RUN in path.relative_to(workspace).parts[:-1]:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
