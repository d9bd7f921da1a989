"""An interrupted training that resumes and mines."""

import signal
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from statistics import fmean

from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.proposals import mine_proposals
from sparsedet.completeness.selection import Selection
from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.run_folder import RunFolder
from sparsedet.runtime.resources import peak_memory
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.train import run_training, start_run

from .record import Figures
from .setting import SEED, CheckFailed, Data, Setting, pairs

_numbers = count(1)


def interrupted_training(setting: Setting, data: Data, iterations: int) -> Figures:
    """Train with mixed precision, interrupted once; mine between stages and at the end."""
    run = RunFolder(setting.scratch / f"interrupted{next(_numbers)}")
    seen: list[StageProgress] = []
    minings: list[PseudoLabels] = []
    changes = {
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.IMS_PER_BATCH": 2,
        # A CPU imitates it, slowly.
        "SOLVER.AMP.ENABLED": setting.device != "cpu",
        "SOLVER.WARMUP_ITERS": 2,
        "SPARSEDET.STAGED.MIN_ITER": 0,
        "SPARSEDET.STAGED.MINE_AT": (0.5,),
        "SPARSEDET.STAGED.MIN_MISSING": 0.0,
        # The losses of a few steps on changed images are not comparable.
        "SPARSEDET.STAGED.PASTES": 0,
        "SPARSEDET.STAGED.ZOOM_SHARE": 0.0,
    }

    def listen(progress: StageProgress) -> None:
        seen.append(progress)
        if len(seen) == max(1, iterations // 4):
            signal.raise_signal(signal.SIGINT)

    callbacks = Callbacks(on_progress=listen, on_mined=minings.append)
    start(run, "staged", load_config("lite0_fpn", pairs(changes)), data, setting.device)
    try:
        run_training(run, callbacks=callbacks)
    except KeyboardInterrupt:
        run_training(run, callbacks=callbacks)
    else:
        raise CheckFailed("Ctrl-C did not stop the training")
    trained_once([progress.iteration for progress in seen], iterations)
    first, last = falls([progress.losses["total_loss"] for progress in seen])
    if len(minings) != 1:
        raise CheckFailed(f"mined {len(minings)} times half-way instead of once")
    found = mine_proposals(
        run,
        read_config(run.config),
        data.train,
        data.images,
        device=setting.device,
        selection=Selection(ReviewCosts()),
    )
    return {
        "iterations": iterations,
        "loss at first": first,
        "loss at the end": last,
        "mined half-way": len(minings[0].labels),
        "mined at the end": len(found.mined),
        "peak memory, MiB": round(peak_memory(setting.device) / 2**20),
    }


def start(run: RunFolder, method: str, config: TrainingConfig, data: Data, device: str) -> None:
    """Prepare a run."""
    start_run(
        config,
        run,
        data.train,
        data.images,
        source=Path(data.name),
        method=method,
        seed=SEED,
        device=device,
    )


def trained_once(iterations: Sequence[int], end: int) -> None:
    """Check that every iteration was trained once."""
    if list(iterations) != list(range(1, end + 1)):
        raise CheckFailed(f"trained the iterations {list(iterations)} instead of 1 to {end}")


def falls(losses: Sequence[float]) -> tuple[float, float]:
    """Return the means of the first and the last fifth; check that the loss fell."""
    part = max(1, len(losses) // 5)
    first, last = fmean(losses[:part]), fmean(losses[-part:])
    if not last < first:
        raise CheckFailed(f"the loss did not fall: {first:.4g} at first, {last:.4g} at the end")
    return first, last
