"""`sparsedet demo`."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.seeds import MAX_SEED
from sparsedet.tool import shown_outcomes

from ..display import live_display
from ..options import DEFAULT_TOOL, Device, Json, tool_option
from ..output import echo, emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.simulation.demo import DemoReport


_GOOD = 0.98
"""Expected share of the digits that have a box after the demo."""


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.")] = Path(
        "demo-workspace"
    ),
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep Label Studio running, to explore the result."),
    ] = False,
    tool: Annotated[
        str,
        tool_option("label-studio, or files: the same loop on folders, without a server."),
    ] = DEFAULT_TOOL,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Maximum number of rounds.")] = 3,
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, help="Iterations of every training.")
    ] = 300,
    seed: Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed.")] = 1,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Run the loop on generated data, with a scripted reviewer.

    Starts a local Label Studio, trains, mines boxes and reviews them. Needs the extra
    sparsedet[demo] and, except with --tool files, an installed Label Studio (`sparsedet doctor`
    shows how to install it). An interrupted demo resumes where it stopped; once it is finished,
    --keep only starts the server.
    """
    from sparsedet.plugins import load_local_integration
    from sparsedet.simulation.demo import Demo, DemoRule
    from sparsedet.training.engine.train import choose_device

    from ..training_progress import TrainingProgress

    integration = load_local_integration(tool)
    rule = DemoRule(iterations=iterations, rounds=rounds, seed=seed)
    steps = Demo(output, rule, device=choose_device(device), say=say)
    steps.open_folder(tool)
    first = "; the first start of Label Studio takes a minute" if tool == DEFAULT_TOOL else ""
    say(f"writing to {output}{first}")
    with ExitStack() as stack:
        with live_display() as display:
            server = integration.local(output / tool, keep=keep, progress=display.progress)
            local = stack.enter_context(server)
            callbacks = TrainingProgress(display).callbacks()
            result = steps.run(local.tool, tool, callbacks=callbacks, progress=display.progress)
        if json_output:
            emit_json({**asdict(result), "page": str(result.page), "picture": str(result.picture)})
        else:
            show_demo(result)
        if keep and local.user:
            say(
                f"Label Studio keeps running: log in as {local.user} with password {local.password}"
            )
        elif local.user:
            say("Label Studio stops now; `sparsedet demo --keep` restarts it to look around")


def show_demo(result: "DemoReport") -> None:
    """Print the figures of the rounds, how complete the digits are, and what is left."""
    from sparsedet.loop.status import clock

    outcomes = shown_outcomes(sum(figures.outcomes.sampled for figures in result.rounds))
    rows = [
        (
            figures.round,
            figures.annotations,
            figures.missing,
            figures.outcomes.total,
            *(getattr(figures.outcomes, name) for name in outcomes),
            figures.drawn,
            figures.complete_images,
            clock(figures.seconds),
            "-" if figures.ap50 is None else f"{figures.ap50:.1f}",
        )
        for figures in result.rounds
    ]
    columns = (
        *("round", "boxes", "missing", "mined", *outcomes),
        *("drawn", "complete", "review time", "AP50"),
    )
    table(f"Rounds on scenes with {result.objects} digits", columns, rows)
    first, last = result.rounds[0], result.rounds[-1]
    echo(
        f"{last.missing_after} of {first.missing} missing boxes are still missing after the last "
        f"review: {result.share:.1%} of the digits have a box"
    )
    echo(f"estimate without ground truth: {result.estimate}")
    echo(f"report: {result.page}")
    echo(f"review project: {result.url or 'nothing is left to review'}")
    if result.share < _GOOD:
        say(
            "the rest needs further rounds or longer training: run it again with another -o, "
            f"--rounds {len(result.rounds) + 1} or more --iterations"
        )
    if result.sheets_url:
        echo(f"contact sheets: {result.sheets_url}")
