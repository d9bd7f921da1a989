"""`sparsedet train`."""

from pathlib import Path
from typing import Annotated

import typer

from sparsedet.seeds import MAX_SEED

from .launch import Launch, launch
from .options import DATA_HELP, DataRoot, Device, Images, Json


def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY VALUE]...",
            help="Configuration keys to change, e.g. SOLVER.MAX_ITER 800.",
            show_default=False,
        ),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(
            "--train",
            help=f"The training annotations. {DATA_HELP}",
        ),
    ] = None,
    images: Images = None,
    val: Annotated[
        str | None,
        typer.Option("--val", help=f"What to evaluate on at the end. {DATA_HELP}"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder to make.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "--config-file",
            help="Name of a configuration, or a YAML file. Default: lite0_fpn.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="plain, end-to-end or staged. Default: the configuration's."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=MAX_SEED, help="Seed of everything that is drawn. Default: 1."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in the run folder.")
    ] = False,
    device: Device = "auto",
    data_root: DataRoot = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="KEY VALUE pairs are those of the published SparseDet commands, as they are.",
        ),
    ] = False,
    num_gpus: Annotated[
        int,
        typer.Option(
            "--num-gpus",
            min=1,
            help="Processes on this machine, each on a GPU, or with --device cpu on cores.",
        ),
    ] = 1,
    num_machines: Annotated[int, typer.Option("--num-machines", min=1, help="Machines.")] = 1,
    machine_rank: Annotated[
        int,
        typer.Option("--machine-rank", min=0, help="This machine's number; the first one is 0."),
    ] = 0,
    dist_url: Annotated[
        str,
        typer.Option(
            "--dist-url",
            help="tcp://HOST:PORT of the first machine, where there are several.",
        ),
    ] = "auto",
    json_output: Json = False,
) -> None:
    """Train a detector on sparse annotations.

    Methods: plain (Faster R-CNN), end-to-end (SparseDet as published) and staged (mine on the way
    and, where labels are missing, go on with what was found; the default). The result is a run
    folder for eval, mine and push.
    """
    start = Launch(num_gpus, num_machines, machine_rank, dist_url)
    if start.is_wanted:
        launch(start)
        return

    from .training import TrainRequest, run_train

    run_train(
        TrainRequest(
            overrides=tuple(overrides or ()),
            train=train_data,
            images=images,
            val=val,
            output=output,
            config=config,
            method=method,
            seed=seed,
            resume=resume,
            device=device,
            data_root=data_root,
            published=published,
        ),
        json_output=json_output,
    )
