"""The Typer app: commands grouped by purpose, errors as one line on stderr."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Never

import typer
from typer.core import TyperCommand, TyperGroup

from sparsedet import __version__
from sparsedet.errors import SparseDetError
from sparsedet.runtime.launched import (
    is_first_launched,
    is_launched,
    reports_errors,
    reports_interruption,
)
from sparsedet.runtime.visible_text import hide_library_warnings, log_to_stderr, show_escaped

from .advice import message
from .commands import (
    check,
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    init,
    inspect,
    mine,
    predict,
    pull,
    push,
    recipes,
    report,
    review,
    round,
    serve,
    simulate,
    split,
    status,
    train,
)
from .output import ENDED_BY_INTERRUPT, fitted, shortened
from .streams import open_closed_streams

_COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Start": {"doctor": doctor.doctor, "init": init.init, "demo": demo.demo},
    "Loop": {
        "round": round.run_round,
        "status": status.status,
        "report": report.report,
        "check": check.check,
        "pull": pull.pull,
        "mine": mine.mine,
        "push": push.push,
        "review": review.review,
        "serve": serve.serve,
        "simulate": simulate.simulate,
    },
    "Data": {
        "inspect": inspect.inspect,
        "split": split.split,
        "recipes": recipes.recipes,
        "compare": compare.compare,
        "convert": convert.convert,
    },
    "Training": {
        "train": train.train,
        "eval": evaluate.evaluate,
        "predict": predict.predict,
        "export": export.export,
    },
}
"""Help panel -> command name -> command."""


_SOUGHT: Mapping[str, str] = {
    "merge": "sparsedet review WORKSPACE --merge",
    "undo": "sparsedet push --undo --data WORKSPACE, or sparsedet review WORKSPACE --undo-merge",
    "detect": "sparsedet predict",
    "evaluate": "sparsedet eval",
}
"""Commands that people try, and what does it."""


class PanelCommand(TyperCommand):
    """A command whose help has a section for each `rich_help_panel` of its parameters.

    Typer draws panels only as boxes, which truncate long options at 80 columns, and importing rich
    would take as long as everything else.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections in the order of the parameters."""
        _write_panels(self, ctx, formatter)


class PanelGroup(TyperGroup):
    """A group whose help has a section for each `rich_help_panel` of its commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; for what another one does, name that one."""
        if args and args[0] in _SOUGHT:
            ctx.fail(f"No such command '{args[0]}'. Use {_SOUGHT[args[0]]}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        _write_panels(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections in the order of the commands, with aligned summaries."""
        width = max(map(len, self.commands))
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            summary = command.get_short_help_str(formatter.width - width - 6)
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels.setdefault(panel, []).append((name.ljust(width), summary))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


_PLACEHOLDERS: Mapping[str, str] = {
    "<str>": "<text>",
    "<list[str]>": "<text>",
    "<int>": "<integer>",
    "<int range>": "<integer>",
    "<float>": "<number>",
    "<float range>": "<number>",
}
"""What typer calls the values of options -> what the help calls them."""


def help_panels(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return what the help says of a command's parameters: panel -> names and explanations."""
    panels: dict[str, list[tuple[str, str]]] = {"Arguments": []}
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is None:
            continue
        names, text = record
        is_argument = parameter.param_type_name == "argument"
        if is_argument:
            # Its metavar says what it is.
            names = names.partition(" <")[0]
        for type_name, placeholder in _PLACEHOLDERS.items():
            names = names.replace(type_name, placeholder)
        default = "Arguments" if is_argument else "Options"
        panel = getattr(parameter, "rich_help_panel", None) or default
        panels.setdefault(panel, []).append((names, text))
    return {panel: records for panel, records in panels.items() if records}


def _write_panels(command: Any, ctx: Any, formatter: Any) -> None:
    for panel, records in help_panels(command, ctx).items():
        with formatter.section(panel):
            formatter.write_dl(records)


app = typer.Typer(
    name="sparsedet",
    help="Train detectors on sparsely annotated images, mine the boxes that annotators missed, "
    "and push them to Label Studio for review.",
    cls=PanelGroup,
    # `color`: otherwise click strips escape sequences from quoted arguments; they must be seen.
    context_settings={"help_option_names": ["-h", "--help"], "color": True},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sparsedet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks instead of one-line errors.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    os.environ["SPARSEDET_DEBUG"] = "1" if debug else ""
    if not debug:
        hide_library_warnings()
    if is_launched():
        # Otherwise every process prints torch's performance advice.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    quiet = logging.WARNING if is_first_launched() else logging.ERROR
    log_to_stderr(logging.DEBUG if debug else quiet)
    # Its progress bars would garble ours, and write carriage returns into files.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # A file may be unreadable for one process only, so each process reports its own.
    logging.getLogger("sparsedet.runtime.unreadable").setLevel(logging.WARNING)


for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, cls=PanelCommand, rich_help_panel=_panel)(_command)


def _end(number: int, frame: object) -> Never:
    """Exit as on Ctrl-C, so that partial output is cleaned up."""
    raise SystemExit(128 + number)


def _hang_up(number: int, frame: object) -> Never:
    """Exit when the terminal is closed; the shell may send the signal again meanwhile."""
    signal.signal(number, signal.SIG_IGN)
    _end(number, frame)


def main() -> None:
    """Run the command line; errors that the user can fix become one line and status 1."""
    open_closed_streams()
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, _hang_up)
    show_escaped()
    try:
        app()
    except SystemExit as end:
        if end.code == ENDED_BY_INTERRUPT and reports_interruption():
            typer.echo("interrupted; repeat the command to resume (train: with --resume)", err=True)
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sparsedet") or os.environ.get("SPARSEDET_DEBUG"):
            raise
        typer.echo(f"error: {error.name} is not installed; see `sparsedet doctor`", err=True)
        sys.exit(1)
    except (SparseDetError, OSError, MemoryError) as error:
        if os.environ.get("SPARSEDET_DEBUG"):
            raise
        if reports_errors():
            said = shortened(message(error, sys.argv[1:]))
            typer.echo(fitted(f"error: {said}", err=True), err=True)
        sys.exit(1)
