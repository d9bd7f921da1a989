"""`sparsedet round`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.workspace import Workspace

from .options import Json, Url
from .output import emit_json, progress_bar, say


def run_round(
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Folder that `sparsedet init` made.")
    ] = Path(),
    force: Annotated[
        bool, typer.Option("--next", help="Begin the next round even if nobody reviewed anything.")
    ] = False,
    url: Url = None,
    json_output: Json = False,
) -> None:
    """Run a round: pull, split, train, mine, push; then it is the reviewers' turn.

    Called again, it collects what they accepted, edited and rejected, and runs the next round with
    it. Interrupted anywhere, it goes on there. sparsedet.toml says how rounds are run.
    """
    from sparsedet.tool import load_integration

    workspace = Workspace(folder)
    settings = workspace.settings()
    with workspace.lock():
        connection = load_integration(settings.source.tool)(
            url or settings.source.url, complete_control=settings.review.complete_control
        )
        from sparsedet.rounds import Rounds

        from .training_progress import training_progress

        with progress_bar() as progress, training_progress() as report:
            rounds = Rounds(
                workspace, connection, say=say, listeners=report.listeners(), progress=progress
            )
            result = rounds.advance(force=force)
    if json_output:
        emit_json(asdict(result))
        return
    if result.url is None:
        typer.echo(f"round {result.round}: nothing was mined, so nothing is up for review")
        say(
            "lower the thresholds in sparsedet.toml ([training.keys] SPARSEDET.MINING.QUANTILE), "
            "or label more; then: sparsedet round --next"
        )
    elif result.state == "waiting":
        typer.echo(f"round {result.round}: nobody has reviewed anything yet at {result.url}")
        say("--next begins the next round all the same")
    else:
        typer.echo(
            f"round {result.round}: {result.mined} mined boxes; {result.up_for_review} are up for "
            f"review at {result.url}"
        )
        say("next: review them there, then: sparsedet round")
