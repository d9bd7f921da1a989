"""`sparsedet round`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.loop.workspace import Workspace, owner_id

from .options import Json
from .output import command, emit_json, progress_bar, say


def run_round(
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Folder that `sparsedet init` made.")
    ] = Path(),
    force: Annotated[
        bool, typer.Option("--next", help="Start the next round however little was reviewed.")
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start the unfinished round over, with a fresh pull."),
    ] = False,
    push_anyway: Annotated[
        bool,
        typer.Option("--push-anyway", help="Push the boxes of a model that seems to be guessing."),
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take the project over from another workspace or push mode: what of theirs is up "
            "for review and untouched is taken back.",
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Run a round: pull, split, train, mine and push.

    Then it is the reviewers' turn. The next call collects what they accepted, edited and rejected,
    and runs the next round with it; it asks first where little was reviewed. Boxes of a model that
    is guessing are not pushed. An interrupted round resumes where it stopped. sparsedet.toml says
    how rounds are run.
    """
    from sparsedet.plugins import load_integration

    workspace = Workspace(folder)
    settings = workspace.settings()
    with workspace.lock():
        connection = load_integration(settings.source.tool)(
            settings.source.url, settings.tool_options(owner_id(workspace.root))
        )
        from sparsedet.loop.rounds import Rounds

        from .training_progress import training_progress

        with progress_bar() as progress, training_progress() as report:
            rounds = Rounds(
                workspace,
                connection,
                say=say,
                callbacks=report.callbacks(),
                progress=progress,
                confirm=_confirm,
            )
            result = rounds.advance(
                force=force, restart=restart, push_anyway=push_anyway, take_over=take_over
            )
    if json_output:
        emit_json(asdict(result))
        return
    again = command("round", folder)
    if result.state == "held":
        typer.echo(f"round {result.round}: its boxes were not pushed: {result.reason}")
        say(
            "train longer (SOLVER.MAX_ITER below [training.keys] in sparsedet.toml) or label more "
            f"images, then: {again} --restart; to push them all the same: {again} --push-anyway"
        )
    elif result.url is None:
        typer.echo(f"round {result.round}: nothing was mined, so nothing is up for review")
        say(
            "train longer, lower `quantile` below [mining] in sparsedet.toml, or label more "
            f"images; then: {again} --next"
        )
    elif result.state == "waiting":
        typer.echo(
            f"round {result.round}: {result.reviewed} of {result.images} images reviewed since the "
            f"last push, at {result.url}"
        )
        say(f"next: review there, then: {again} (--next starts the next round all the same)")
    else:
        older = result.up_for_review - result.mined
        typer.echo(
            f"round {result.round}: {result.up_for_review} mined boxes are up for review at "
            f"{result.url}" + (f" ({older} of them from earlier rounds)" if older > 0 else "")
        )
        say(f"next: review them there, then: {again}")


def _confirm(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question, default=False, err=True)
