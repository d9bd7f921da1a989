"""`sparsedet check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import WorkspaceBusyError
from sparsedet.loop.workspace import Workspace, known_owner
from sparsedet.wording import counted

from ..display import progress_bar
from ..options import Json
from ..output import echo, emit_json, not_broken, say

if TYPE_CHECKING:
    from sparsedet.checking.checkup import Checkup
    from sparsedet.checking.finding import Finding
    from sparsedet.loop.reviews import Connections

FOUND = 3
"""Exit status if something is wrong ..."""
LOCKED = 4
"""... and if another process is using the workspace; 1 is an error, as in every command."""

_LINES_OF_A_KIND = 10
"""Lines to print per kind: a workspace without its images has one finding per image."""


def check(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder.")] = Path(),
    server: Annotated[
        bool,
        typer.Option(
            "--server",
            help="Also check that all pushed boxes are still in the annotation tool.",
        ),
    ] = False,
    read_data: Annotated[
        bool,
        typer.Option(
            "--read-data",
            help="Read images and models in full. Default: check only their size and header.",
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair the faults that can be repaired locally. Files in the way move to "
            "lost+found in the workspace; nothing is deleted, and the server is not changed.",
        ),
    ] = False,
    # The name of --fix in version 0.2.0: scripts may have it.
    mend: Annotated[bool, typer.Option("--mend", hidden=True, help="The same as --fix.")] = False,
    json_output: Json = False,
) -> None:
    """Check a workspace: images, ledger, rounds.

    Reports every fault with the command that fixes it. Changes nothing without --fix. Exit status:
    0 fine, 1 error, 3 faults found, 4 another process is using the workspace.
    """
    from sparsedet.checking.checkup import check_workspace, repair_workspace

    workspace = Workspace(folder)
    run = repair_workspace if fix or mend else check_workspace
    try:
        with progress_bar() as progress:
            found = run(
                workspace,
                read_data=read_data,
                connections=_connections(workspace) if server else None,
                progress=progress,
            )
    except WorkspaceBusyError as error:
        say(f"error: {error}")
        raise typer.Exit(LOCKED) from None
    if json_output:
        emit_json(_as_json(found))
    else:
        _show(found, folder)
    if not found.is_fine:
        raise typer.Exit(FOUND)


def _connections(workspace: Workspace) -> "Connections":
    """Return connections to where boxes were pushed; a lost workspace id is not recreated."""
    from sparsedet.loop.reviews import Connections

    return Connections(workspace.settings(), owner=known_owner(workspace.root))


def _show(found: "Checkup", folder: Path) -> None:
    for line in found.repaired:
        say(f"repaired: {line}")
    for line in found.failed:
        say(line)
    if found.lost_and_found is not None:
        say(f"files that were in the way are now in {found.lost_and_found}")
    shown: dict[str, int] = {}
    for finding in found.findings:
        shown[finding.kind] = shown.get(finding.kind, 0) + 1
        if shown[finding.kind] <= _LINES_OF_A_KIND:
            echo(_line(finding))
    for kind, count in shown.items():
        if count > _LINES_OF_A_KIND:
            echo(f"... and {count - _LINES_OF_A_KIND} more of kind {kind} (--json lists all)")
    echo(_summary(found, folder))


def _line(finding: "Finding") -> str:
    line = f"{finding.severity}: {finding.where}: {finding.what}"
    return f"{line}; {not_broken(finding.command)}" if finding.command else line


def _summary(found: "Checkup", folder: Path) -> str:
    if found.is_fine:
        return f"{folder}: nothing is wrong"
    wrong = [finding for finding in found.findings if finding.severity != "info"]
    count = counted(len(wrong), "thing is", "things are")
    repairable = sum(finding.repair is not None for finding in wrong)
    advice = f", of which --fix repairs {repairable}" if repairable else ""
    return f"{folder}: {count} wrong{advice}"


def _as_json(found: "Checkup") -> dict[str, Any]:
    lost = found.lost_and_found
    return {
        "fine": found.is_fine,
        "findings": [finding.to_json() for finding in found.findings],
        "repaired": list(found.repaired),
        "failed": list(found.failed),
        "lost_and_found": None if lost is None else str(lost),
    }
