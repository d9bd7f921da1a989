"""Check that what merges replaced is still on record: undoing them needs it."""

from collections.abc import Iterator
from pathlib import Path

from sparsedet.atomic_io import read_json
from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, one_line
from sparsedet.errors import SparseDetError
from sparsedet.ledger import written_from_json
from sparsedet.loop.merge_folders import UNDONE

_KEYS = {"tool_id", "source", "before", "written_before", "written", "version"}


def check_merges(checked: Checked) -> Iterator[Finding]:
    """Check the files of all merges, including undone ones."""
    roots = (checked.workspace.root, *(folder.root for folder in checked.rounds))
    for merge in (path for root in roots for path in sorted((root / "merged").glob("*"))):
        if not merge.is_dir() or not merge.name.removesuffix(UNDONE).isdigit():
            what = "neither a merge (001, 002, ...) nor an undone one"
            yield Finding("merge-name", checked.name(merge), what, severity="info")
            continue
        for file in sorted(merge.glob("*.json")):
            try:
                _read(file)
            except (SparseDetError, OSError) as error:
                what = f"{one_line(error, file)}; restore it from a backup to undo the merge"
                yield Finding("merge-file", checked.name(file), what)


def _read(path: Path) -> None:
    """Read what a merge replaced in an image.

    Raises:
        SparseDetError: when it can't be undone with that.
    """
    record = read_json(path)
    if not isinstance(record, dict) or not record.keys() >= _KEYS:
        raise SparseDetError(f"{path}: no record of what the merge replaced")
    if not isinstance(record["source"], dict) or not record["source"].keys() >= {"tool", "project"}:
        raise SparseDetError(f"{path}: no record of the merged project")
    written_from_json(record["written_before"])
    # An interrupted merge that has not written the image is marked as such.
    if record["written"] is not None:
        written_from_json(record["written"])
