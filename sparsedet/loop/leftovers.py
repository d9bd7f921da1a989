"""Files in a workspace that killed processes left half-written."""

import shutil
from contextlib import suppress
from pathlib import Path

from sparsedet.atomic_io import writer_of

_OWN = (
    "sparsedet.toml",
    "annotations.json",
    "images.index.json",
    "ledger.sqlite",
    "ledger.read.json",
    "owner.id",
)
"""A workspace may be in a folder with other files."""


def remove_leftovers(workspace: Path) -> None:
    """Remove a workspace's half-written files whose process has ended.

    Those of images are removed by the next pull.

    Args:
        workspace: its folder, locked. Commands that take no lock may be writing in its runs.
    """
    # Imported here since `--help` does without.
    import psutil

    rounds = workspace / "rounds"
    found = [path for name in _OWN for path in workspace.glob(f".{name}.*.tmp*")]
    if not rounds.is_symlink():
        found += rounds.rglob(".*.tmp*")
    for path in found:
        process = writer_of(path)
        if process is None or psutil.pid_exists(process):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
