"""`sparsedet doctor`: what is installed, what is missing, and how to mend it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json
from .output import emit_json, say

if TYPE_CHECKING:
    from sparsedet.setup_check import Check


def doctor(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Install detectron2 from its pinned wheel where none can be imported. "
            "One that works is never touched.",
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Check the installation, and tell what mends it.

    Exits with status 1 when something required is missing.
    """
    from sparsedet.setup_check import State, check_setup
    from sparsedet.setup_fix import install_detectron2

    if fix:
        say("looking for detectron2 ...")
        installed = install_detectron2()
        say("detectron2 was installed" if installed else "detectron2 is there; nothing to install")
    checks = check_setup()
    healthy = all(check.state is not State.MISSING for check in checks)
    if json_output:
        emit_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks)
    if not healthy:
        raise typer.Exit(1)


def _show(checks: "Sequence[Check]") -> None:
    """Print one line per check, and the fix below each that needs one."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{check.state:<8}  {check.name:<{width}}  {check.found}")
        if check.fix:
            typer.echo(f"{'':8}  {'':{width}}  -> {check.fix}")
