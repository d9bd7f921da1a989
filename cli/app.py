"""The Typer app: commands, and errors as one line on stderr."""

import logging
import os
import signal
import sys
import warnings
from typing import Annotated, Never

import typer

from sparsedet import __version__
from sparsedet.errors import SparseDetError
from sparsedet.runtime.launched import (
    is_first_launched,
    is_launched,
    speaks_of_errors,
    speaks_of_the_end,
)

from . import (
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    init,
    mine,
    pull,
    push,
    report,
    review,
    round,
    simulate,
    split,
    status,
    train,
)

app = typer.Typer(
    name="sparsedet",
    help="Train detectors on sparsely annotated images, mine the boxes that the annotators missed, "
    "and push them back to Label Studio for review.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_ENDED_BY_INTERRUPT = 130


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
        # Deprecations inside torch and detectron2 are nothing that a user can mend.
        warnings.filterwarnings("ignore", module=r"torch|detectron2|fvcore")
    if is_launched():
        # Else every process tells on stderr how torch could be a little faster.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    quiet = logging.WARNING if is_first_launched() else logging.ERROR
    logging.basicConfig(
        level=logging.DEBUG if debug else quiet,
        format="%(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    # Of files that only one process has to do with, no other one can tell.
    logging.getLogger("sparsedet.runtime.unreadable").setLevel(logging.WARNING)


app.command("init")(init.init)
app.command("round")(round.run_round)
app.command("status")(status.status)
app.command("report")(report.report)
app.command("pull")(pull.pull)
app.command("convert")(convert.convert)
app.command("split")(split.split)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("mine")(mine.mine)
app.command("push")(push.push)
app.command("review")(review.review)
app.command("simulate")(simulate.simulate)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _end(number: int, frame: object) -> Never:
    """End as after Ctrl-C: what a command has half written is removed on the way out."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; turn errors that the user can mend into one line and status 1."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except SystemExit as end:
        if end.code == _ENDED_BY_INTERRUPT and speaks_of_the_end():
            typer.echo("interrupted; call it again to go on (train: with --resume)", err=True)
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sparsedet") or os.environ.get("SPARSEDET_DEBUG"):
            raise
        typer.echo(f"error: {error.name} is not installed; see `sparsedet doctor`", err=True)
        sys.exit(1)
    except (SparseDetError, OSError) as error:
        if os.environ.get("SPARSEDET_DEBUG"):
            raise
        if speaks_of_errors():
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
