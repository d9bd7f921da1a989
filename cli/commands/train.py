"""`sparsedet train`, and the launcher for `--num-gpus` and related options."""

import atexit
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sparsedet.errors import ConfigError, TrainingError
from sparsedet.runtime.launched import is_launched, note_launch
from sparsedet.seeds import MAX_SEED

from ..class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from ..options import (
    DATA_HELP,
    Device,
    Json,
    complete_configs,
    complete_methods,
    data_root_option,
    images_option,
    split_option,
    strict_option,
)
from ..output import ENDED_BY_INTERRUPT

_DATA = "Data"
_PROCESSES = "Distributed training"
_AUTO = "auto"


def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY VALUE",
            help="Configuration overrides, e.g. SOLVER.MAX_ITER 800.",
            show_default=False,
        ),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(
            "--train",
            help=f"The training annotations. {DATA_HELP}",
            rich_help_panel=_DATA,
        ),
    ] = None,
    images: Annotated[Path | None, images_option(_DATA)] = None,
    split: Annotated[
        str | None, split_option(_DATA, "train if the data has splits, else all images")
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(
            "--val",
            help="Data to evaluate on after training, and with TEST.EVAL_PERIOD also during it. "
            f"{DATA_HELP} Default: split val of the training data, if it has splits.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    val_images: Annotated[
        Path | None,
        typer.Option(
            "--val-images",
            help="Image folder of the evaluation data, if it differs from --images.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    strict: Annotated[bool, strict_option(_DATA)] = False,
    data_root: Annotated[Path | None, data_root_option(_DATA)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder to create.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "--config-file",
            help="Name of a configuration, or a YAML file. auto chooses image size, anchors and "
            "tiles by the boxes; auto:NAME starts from configuration NAME. Default: lite0_fpn.",
            autocompletion=complete_configs,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="plain, augmented, end-to-end or staged. Default: the configuration's.",
            autocompletion=complete_methods,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed. Default: 1."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            help="Train for about this many minutes, not counting evaluation: the first steps are "
            "timed, and SOLVER.MAX_ITER and the schedule are set accordingly.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the interrupted run in the run folder.")
    ] = False,
    device: Device = "auto",
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Accept the KEY VALUE pairs of the published SparseDet commands unchanged.",
        ),
    ] = False,
    num_gpus: Annotated[
        int,
        typer.Option(
            "--num-gpus",
            min=1,
            help="Number of processes on this machine: one per GPU, or with --device cpu, on CPU "
            "cores.",
            rich_help_panel=_PROCESSES,
        ),
    ] = 1,
    num_machines: Annotated[
        int,
        typer.Option(
            "--num-machines", min=1, help="Number of machines.", rich_help_panel=_PROCESSES
        ),
    ] = 1,
    machine_rank: Annotated[
        int,
        typer.Option(
            "--machine-rank",
            min=0,
            help="Rank of this machine; the first one is 0.",
            rich_help_panel=_PROCESSES,
        ),
    ] = 0,
    dist_url: Annotated[
        str,
        typer.Option(
            "--dist-url",
            help="tcp://HOST:PORT of the first machine, if there are several machines.",
            rich_help_panel=_PROCESSES,
        ),
    ] = "auto",
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    json_output: Json = False,
) -> None:
    """Train a detector on sparse annotations.

    Methods: plain (Faster R-CNN), augmented (plain with copy-paste and scale jitter), end-to-end
    (SparseDet as published) and staged (the default: augmented, but pauses to mine its images and,
    if many labels are missing, continues with the mined boxes). The result is a run folder for
    eval, mine, predict and export.
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
            split=split,
            val=val,
            val_images=val_images,
            strict=strict,
            output=output,
            config=config,
            method=method,
            seed=seed,
            minutes=minutes,
            resume=resume,
            device=device,
            data_root=data_root,
            published=published,
            marks=MarkOptions.of(complete_classes, image_labels, label_names),
        ),
        json_output=json_output,
    )


@dataclass(frozen=True, slots=True)
class Launch:
    """Which processes to start."""

    per_machine: int
    machines: int
    machine_rank: int
    url: str
    """tcp://HOST:PORT of the first machine, or auto for a single machine."""

    @property
    def is_wanted(self) -> bool:
        """Whether to launch processes; False inside a launched process."""
        return not is_launched() and self.per_machine * self.machines > 1


def launch(options: Launch) -> None:
    """Run this command in several processes, and exit with their status.

    Raises:
        ConfigError: if options contradict each other.
        TrainingError: if the machines can't connect, or a process was killed.
    """
    host, port = _address(options)
    if options.machine_rank >= options.machines:
        raise ConfigError(
            f"--machine-rank {options.machine_rank}: expected 0 to {options.machines - 1} with "
            f"--num-machines {options.machines}"
        )
    import logging

    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from sparsedet.runtime.resources import usable_cores

    # The processes report their errors themselves; torch would add a page of output.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    alone = options.machines == 1
    config = LaunchConfig(
        min_nodes=options.machines,
        max_nodes=options.machines,
        nproc_per_node=options.per_machine,
        run_id="sparsedet",
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="localhost:0" if alone else f"{host}:{port}",
        rdzv_configs={} if alone else {"rank": options.machine_rank},
        max_restarts=0,
        monitor_interval=0.2,
    )
    note_launch()
    # Otherwise each process would use all cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // options.per_machine)))
    try:
        elastic_launch(config, sys.executable)("-m", "sparsedet", *sys.argv[1:])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        if -signal.SIGKILL in codes and max(codes) < 0:
            # It could not report anything itself.
            raise TrainingError(
                "a process of the training was killed, most likely because memory ran out; a "
                "smaller SOLVER.IMS_PER_BATCH, INPUT.MIN_SIZE_TRAIN or DATALOADER.CACHE_MIB takes "
                "less"
            ) from error
        sys.exit(next((code for code in codes if code > 0), 1))
    except (DistError, RendezvousError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"the machines can't connect at {options.url} ({reason}); run the same command on "
            "all of them, with an address of the first one and a free port"
        ) from error
    except (SignalException, KeyboardInterrupt):
        atexit.register(_leave_at_once)
        sys.exit(ENDED_BY_INTERRUPT)


def _leave_at_once() -> None:
    """End the process: torch's store has threads that may abort an interpreter's usual exit."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(ENDED_BY_INTERRUPT)


def _address(options: Launch) -> tuple[str, int]:
    """Return host and port of the first machine."""
    if options.url == _AUTO:
        if options.machines > 1:
            raise ConfigError(
                f"--num-machines {options.machines} needs --dist-url tcp://HOST:PORT, an address "
                "of the first machine that the others can reach"
            )
        return "localhost", 0
    parts = urlsplit(options.url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or port is None:
        raise ConfigError(f"--dist-url {options.url}: expected tcp://HOST:PORT")
    return parts.hostname, port
