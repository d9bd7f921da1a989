"""Check a workspace as a whole, and repair what was found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.checking.checked import Checked, check_is_workspace
from sparsedet.checking.finding import Finding, LostAndFound
from sparsedet.checking.image_files import check_annotations, check_images
from sparsedet.checking.ledger import check_ledger, check_ledger_file
from sparsedet.checking.ledger_copy import ledger_copy
from sparsedet.checking.leftovers import check_leftovers
from sparsedet.checking.merges import check_merges
from sparsedet.checking.round_ledger import check_rounds_against_ledger
from sparsedet.checking.rounds import check_numbers, check_round
from sparsedet.checking.settings import check_settings
from sparsedet.errors import SparseDetError
from sparsedet.loop.reviews import Connections
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Checkup:
    """The result of a check."""

    findings: tuple[Finding, ...] = ()
    """Problems that exist now, after any repairs."""
    repaired: tuple[str, ...] = ()
    """Repairs that were made, as text."""
    failed: tuple[str, ...] = ()
    """Repairs that failed, and why."""
    lost_and_found: Path | None = None
    """Where repairs moved files to; None: nothing was moved."""

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong, ignoring mere information."""
        return all(finding.severity == "info" for finding in self.findings)


def check_workspace(
    workspace: Workspace,
    *,
    read_data: bool = False,
    connections: Connections | None = None,
    progress: Progress = no_progress,
) -> Checkup:
    """Check a workspace without changing anything; it may be on a read-only disk.

    Args:
        workspace: its folder.
        read_data: read images and models completely.
        connections: to the annotation tools, to compare with; None: no comparison.
        progress: called for every image.

    Raises:
        WorkspaceBusyError: when another process works in it.
        SparseDetError: when the folder is not a workspace, or a server can't be reached.
    """
    check_is_workspace(workspace)
    with workspace.shared_lock():
        return _check(workspace, read_data, connections, progress)


def repair_workspace(
    workspace: Workspace,
    *,
    read_data: bool = False,
    connections: Connections | None = None,
    progress: Progress = no_progress,
) -> Checkup:
    """Check a workspace, repair what can be repaired, and check again.

    Deletes nothing and sends nothing to a server; see `check_workspace`.
    """
    check_is_workspace(workspace)
    repaired: list[str] = []
    failed: list[str] = []
    with workspace.lock(tidy=False):
        lost = LostAndFound(workspace.root)
        tried: set[tuple[str, str, str]] = set()
        while True:
            # What one repair restores, such as the ledger, may have faults of its own.
            result = _check(workspace, read_data, connections, progress)
            repairs = [
                one
                for one in result.findings
                if one.repair and (one.kind, one.where, one.what) not in tried
            ]
            if not repairs:
                break
            tried |= {(one.kind, one.where, one.what) for one in repairs}
            for repair, where in {one.repair: one.where for one in repairs if one.repair}.items():
                try:
                    repaired.append(repair(lost))
                except (SparseDetError, OSError) as error:
                    failed.append(f"{where}: not repaired ({error})")
    return replace(
        result,
        repaired=tuple(repaired),
        failed=tuple(failed),
        lost_and_found=lost.folder,
    )


def _check(
    workspace: Workspace, read_data: bool, connections: Connections | None, progress: Progress
) -> Checkup:
    checked = Checked(workspace, read_data, progress)
    with ledger_copy(workspace.ledger) as copy:
        return Checkup(tuple(_findings(checked, copy, connections)))


def _findings(checked: Checked, copy: Path, connections: Connections | None) -> Iterator[Finding]:
    checks: tuple[Callable[[Checked], Iterator[Finding]], ...] = (
        check_settings,
        check_leftovers,
        check_annotations,
        check_images,
        check_numbers,
    )
    for check in checks:
        yield from check(checked)
    for folder in checked.rounds:
        yield from check_round(checked, folder, newest=folder is checked.rounds[-1])
    yield from check_merges(checked)
    broken = list(check_ledger_file(checked, copy))
    yield from broken
    if not broken and copy.is_file():
        inside = list(check_ledger(checked, copy))
        yield from inside
        if not any(one.kind == "ledger-rows" for one in inside):
            yield from check_rounds_against_ledger(checked, copy)
            if connections is not None:
                from sparsedet.checking.server import check_places

                yield from check_places(checked, copy, connections)
