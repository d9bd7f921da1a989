"""`sparsedet round`."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.loop.workspace import Workspace, owner_id

from ..display import Display, live_display
from ..options import Json, TakeOver, complete_devices, complete_methods
from ..output import command, emit_json, fitted
from .round_results import show_round

_TRAINING = "Training in this round only"


def run_round(
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Folder created by `sparsedet init`.")
    ] = Path(),
    force: Annotated[
        bool,
        typer.Option(
            "--next",
            help="Start the next round even if few images were reviewed, or if the annotations are "
            "complete enough.",
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Restart the unfinished round with a fresh pull."),
    ] = False,
    push_anyway: Annotated[
        bool,
        typer.Option("--push-anyway", help="Push boxes even if the model seems to be guessing."),
    ] = False,
    take_over: TakeOver = False,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="Limit the round's queue of images, or its contact sheets: 30min, 2h or "
            "200-images. Default: from sparsedet.toml.",
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            "--iterations",
            min=1,
            help="Number of training iterations. Default: SOLVER.MAX_ITER of sparsedet.toml or "
            "the configuration.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            help="Train for about this many minutes, instead of a number of iterations. Default: "
            "from sparsedet.toml, if set there.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="Training method: plain, augmented, end-to-end or staged. Default: from "
            "sparsedet.toml.",
            autocompletion=complete_methods,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            help="auto (CUDA if available), cpu or cuda. Default: from sparsedet.toml.",
            autocompletion=complete_devices,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Run a round: pull, split, train, mine and push.

    Afterwards, people review: they judge mined boxes, draw missing ones and mark images as
    complete. The queue starts with the images where review finds most per minute. The next call
    collects the reviews, estimates how complete the annotations are, and runs the next round unless
    they are complete enough ([rounds] stop_at); it asks first if few images were reviewed. If the
    model seems to be guessing, nothing is pushed. An interrupted round resumes where it stopped,
    with its original options. sparsedet.toml configures rounds.
    """
    from sparsedet.completeness.budget import parse_budget
    from sparsedet.plugins import load_integration

    limit = parse_budget(budget) if budget else None
    workspace = Workspace(folder)
    settings = workspace.settings()
    with workspace.lock():
        connection = load_integration(settings.source.tool)(
            settings.source.url, settings.tool_options(owner_id(workspace.root))
        )
        with live_display() as display:
            # Importing torch takes some seconds.
            display.progress("starting", 0, 1)
            from sparsedet.loop.round_options import RoundOptions
            from sparsedet.loop.rounds import Rounds

            from ..training_progress import TrainingProgress

            options = RoundOptions(
                iterations=iterations, device=device, method=method, minutes=minutes
            )
            restart_shorter = command("round", folder, "--restart --iterations NUMBER")
            shorter = f"to shorten it, press Ctrl-C, then run:  {restart_shorter}"
            rounds = Rounds(
                workspace,
                connection,
                say=display.say,
                callbacks=TrainingProgress(display, shorter).callbacks(),
                progress=display.progress,
                confirm=partial(_confirm, display),
            )
            display.clear()
            result = rounds.advance(
                force=force,
                restart=restart,
                push_anyway=push_anyway,
                take_over=take_over,
                budget=limit,
                options=options,
            )
    if json_output:
        emit_json(asdict(result))
        return
    show_round(result, folder, settings.rounds.stop_at)


def _confirm(display: Display, question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    display.clear()
    text = fitted(f"{question} [y/N]", err=True)
    return typer.confirm(text, default=False, show_default=False, err=True)
