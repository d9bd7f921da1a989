"""`sparsedet demo`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Json
from .output import emit_json, progress_bar, say, table

_TOOL = "label-studio"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for everything that the demo makes.")
    ] = Path("demo-workspace"),
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave Label Studio running, to click around in the result."),
    ] = False,
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, help="Iterations of each training stage.")
    ] = 150,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything that is drawn.")] = 1,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Show the whole loop on generated data.

    A local Label Studio, a training, mined boxes, a scripted review. Needs nothing but an installed
    Label Studio (`make label-studio`). Called again, it goes on where it stopped; a finished demo
    with --keep just starts the server.
    """
    from sparsedet.demo import Demo, DemoRule
    from sparsedet.tool import load_local_integration
    from sparsedet.training.train import choose_device

    from .training_progress import training_progress

    integration = load_local_integration(_TOOL)
    rule = DemoRule(iterations=iterations, seed=seed)
    steps = Demo(output, rule, device=choose_device(device), say=say)
    say(f"everything goes into {output}; starting Label Studio (the first time takes a minute)")
    with integration.local(output / "label-studio", keep=keep) as local:
        with progress_bar() as progress, training_progress() as report:
            result = steps.run(
                local.tool,
                _TOOL,
                listeners=report.listeners(),
                progress=progress,
            )
        if json_output:
            emit_json(asdict(result))
        else:
            outcomes = result.outcomes
            table(
                "One pass of the loop",
                ("", "boxes"),
                [
                    ("pulled", result.pulled_boxes),
                    ("missing before", result.missing_boxes),
                    ("mined and pushed", result.mined),
                    ("accepted", outcomes.accepted),
                    ("edited", outcomes.edited),
                    ("rejected", outcomes.rejected),
                    ("left for you", outcomes.pending),
                ],
            )
            typer.echo(f"review project: {result.push.url}")
        if keep:
            say(f"Label Studio runs on: log in as {local.user} with password {local.password}")
        else:
            say("Label Studio stops now; `sparsedet demo --keep` starts it again to look around")
