"""Read `annotations.json` of workspaces and rounds; errors name the remedy, as `check` does."""

from pathlib import Path

from sparsedet.annotations import Dataset, read_coco
from sparsedet.errors import SparseDetError
from sparsedet.loop.round_folder import START_OVER, RoundFolder
from sparsedet.loop.workspace import Workspace


def read_pulled(workspace: Workspace) -> Dataset:
    """Return the annotations of the newest pull.

    Raises:
        SparseDetError: when they are missing or broken.
    """
    return _read(workspace.annotations, f"run `sparsedet pull -o {workspace.root}`")


def read_round(folder: RoundFolder) -> Dataset:
    """Return the annotations that a round began with.

    Raises:
        SparseDetError: when they are missing or broken.
    """
    # A pushed round can't be redone: its reviews refer to these images.
    pushed = folder.push.exists()
    return _read(folder.annotations, "restore it from a backup" if pushed else START_OVER)


def _read(path: Path, remedy: str) -> Dataset:
    try:
        return read_coco(path)
    except SparseDetError as error:
        raise type(error)(f"{error}; {remedy}") from error
