"""`sparsedet doctor`: what is wrong with the installation, and how to fix it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SetupError

from ..options import Json
from ..output import emit_json, line, say

if TYPE_CHECKING:
    from sparsedet.doctor import Check


def doctor(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Install detectron2 from its pinned wheel if it can't be imported. "
            "A working installation is never touched.",
        ),
    ] = False,
    wheel: Annotated[
        Path | None,
        typer.Option(
            "--wheel",
            help="With --fix: a copy of detectron2's pinned wheel, if PyPI can't be reached.",
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every check, not only failures.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Check the installation and the Label Studio connection.

    Prints what is wrong and how to fix it. Tries LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY if they
    are set. Exits with status 1 if something required is missing.
    """
    from sparsedet.doctor import State, check_setup, install_detectron2

    if wheel is not None and not fix:
        raise SetupError("--wheel needs --fix")
    if fix:
        say("looking for detectron2 ...")
        installed = install_detectron2(wheel)
        say("detectron2 was installed" if installed else "detectron2 is already installed")
    checks = check_setup()
    healthy = all(check.state is not State.MISSING for check in checks)
    if json_output:
        emit_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        show_checks(checks, show_all=show_all)
    if not healthy:
        raise typer.Exit(1)


def show_checks(checks: "Sequence[Check]", *, show_all: bool) -> None:
    """Print each failure with its fix, and one line for the rest.

    Args:
        checks: all checks.
        show_all: print one line per check instead.
    """
    from sparsedet.doctor import State

    wrong = [check for check in checks if check.state in (State.MISSING, State.WARNING)]
    shown = checks if show_all else wrong
    width = max((len(check.name) for check in shown), default=0)
    for check in shown:
        line(f"{check.state:<8}  {check.name:<{width}}  {check.found}")
        if check.fix:
            line(f"{'':8}  {'':{width}}  -> {check.fix}")
    if show_all:
        return
    passed = sum(check.state is State.OK for check in checks)
    said = f"checks passed: {passed}"
    for state, what in (
        (State.OPTIONAL, "optional and not installed"),
        (State.UNTESTED, "not tested, as not configured"),
    ):
        if names := [check.name for check in checks if check.state is state]:
            said += f"; {what}: {', '.join(names)}"
    line(f"{said} (--all shows everything)")
