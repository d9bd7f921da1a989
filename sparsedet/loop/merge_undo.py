"""Undo merges: restore what they replaced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsedet.atomic_io import remove_half_written, sync_folder
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Source, written_from_json
from sparsedet.loop.merge_folders import is_undone, merges_below, undone_folder
from sparsedet.loop.reviews import Connections
from sparsedet.loop.round_files import read_merged
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import Replaced


@dataclass(frozen=True, slots=True)
class UndoneMerge:
    """The result of undoing a merge."""

    restored: tuple[str, ...]
    """Tool ids of images restored to their state before the merge."""
    left: Mapping[str, str]
    """Tool id -> why the image was left as it is."""


def undo_merge(ledger: Ledger, connections: Connections, workspace: Workspace) -> UndoneMerge:
    """Restore what the newest merge replaced, unless somebody has changed it since.

    Until `mark_undo_reported`, a repetition has the same result, and leaves earlier merges alone.

    Raises:
        SparseDetError: when no merge is on record.
    """
    merges = _merges(workspace)
    if not merges:
        raise SparseDetError(f"{workspace.root}: no merge to undo")
    folder = merges[-1]
    undone = undone_folder(folder)
    if is_undone(folder):
        images = (read_merged(path)["tool_id"] for path in undone.glob("*.json"))
        return UndoneMerge(tuple(sorted(map(str, images))), {})
    restored: list[str] = []
    left: dict[str, str] = {}
    records = {path: read_merged(path) for path in sorted(folder.glob("*.json"))}
    sources = ledger.sources()
    by_source: dict[Source, dict[str, Path]] = {}
    for path, record in records.items():
        tool_id = str(record["tool_id"])
        if (source := _present(Source(**record["source"]), sources)) is None:
            left[tool_id] = "its project is not in the ledger"
        else:
            by_source.setdefault(source, {})[tool_id] = path
    for source, own in by_source.items():
        of_source = {id: records[path] for id, path in own.items()}
        reasons = _restore(ledger, connections, source, of_source)
        done = sorted(own.keys() - reasons.keys())
        for tool_id in done:
            # The rest can be undone later, and a rebuilt ledger needs both files.
            undone.mkdir(exist_ok=True)
            own[tool_id].rename(undone / own[tool_id].name)
            sync_folder(undone)
        restored += done
        left |= reasons
    return UndoneMerge(tuple(restored), left)


def mark_undo_reported(workspace: Workspace) -> None:
    """Note that people know of all undone merges: the next undo takes an earlier merge."""
    for folder in _merges(workspace):
        if is_undone(folder):
            remove_half_written(folder)
            for stray in folder.iterdir():
                # Somebody else's, which would keep the folder, and so the undo, as the newest.
                stray.replace(undone_folder(folder) / stray.name)
            folder.rmdir()


def _merges(workspace: Workspace) -> list[Path]:
    """Return the folders of all merges of a workspace to undo, oldest first."""
    rounds = (folder.root for folder in workspace.all_rounds())
    return [merge for root in (workspace.root, *rounds) for merge in merges_below(root)]


def _restore(
    ledger: Ledger,
    connections: Connections,
    source: Source,
    records: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Restore images, in the ledger as well; return why some were left as they are.

    The ledger comes first: to its record of the merge, restored images would look as if people
    had removed what was merged. The other way round, a merge just finds nothing to do.
    """
    before = {id: written_from_json(one["written_before"]) for id, one in records.items()}
    replaced = [(Replaced(id, one["before"]), one["version"]) for id, one in records.items()]
    images = ledger.image_reviews(source)
    now = {one.tool_id: (one.written, None) for one in images if one.tool_id in before}
    ledger.record_written(source, {id: (state, None) for id, state in before.items()})
    try:
        left = connections.tool(source).restore(source.project, replaced)
    except (SparseDetError, OSError):  # before anything was restored
        ledger.record_written(source, now)
        raise
    ledger.record_written(source, {id: now[id] for id in left.keys() & now.keys()})
    return dict(left)


def _present(source: Source, known: Sequence[Source]) -> Source | None:
    """Return a project by its server's current address, which may have changed since a merge."""
    same = [one for one in known if (one.tool, one.project) == (source.tool, source.project)]
    return source if source in same else next(iter(reversed(same)), None)
