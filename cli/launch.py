"""Starting the processes of a training: what `--num-gpus` and the like stand for.

`torchrun --nproc-per-node N -m sparsedet train ...` does the same; these are the familiar short
forms. This module is imported without torch.
"""

import os
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from sparsedet.errors import ConfigError, TrainingError
from sparsedet.runtime.launched import is_launched, note_launch

_AUTO = "auto"
_ENDED_BY_INTERRUPT = 130


@dataclass(frozen=True, slots=True)
class Launch:
    """Which processes to start."""

    per_machine: int
    machines: int
    machine_rank: int
    url: str
    """tcp://HOST:PORT of the first machine, or auto where there is one machine only."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to start: not inside of a launcher's process."""
        return not is_launched() and self.per_machine * self.machines > 1


def launch(options: Launch) -> None:
    """Start this very command in several processes, and end as they end.

    Raises:
        ConfigError: when the options contradict each other.
        TrainingError: when the machines don't find each other.
    """
    host, port = _address(options)
    if options.machine_rank >= options.machines:
        raise ConfigError(
            f"--machine-rank {options.machine_rank}: with --num-machines {options.machines} the "
            f"machines are 0 to {options.machines - 1}"
        )
    import logging

    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from sparsedet.runtime.resources import usable_cores

    # The processes tell themselves what went wrong; torch would add a page of its own.
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
    # Each process would take all cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // options.per_machine)))
    try:
        elastic_launch(config, sys.executable)("-m", "sparsedet", *sys.argv[1:])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        sys.exit(next((code for code in codes if code > 0), 1))
    except (DistError, RendezvousError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"the machines don't find each other at {options.url} ({reason}); start the same "
            "command on all of them, with an address of the first one and a free port"
        ) from error
    except (SignalException, KeyboardInterrupt):
        sys.exit(_ENDED_BY_INTERRUPT)


def _address(options: Launch) -> tuple[str, int]:
    """Return host and port of the first machine."""
    if options.url == _AUTO:
        if options.machines > 1:
            raise ConfigError(
                f"--num-machines {options.machines} needs --dist-url tcp://HOST:PORT, an address "
                "of the first machine that the others reach"
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
