"""Run and killed by `test_kill.py`: resumes a run, and prints every iteration."""

import sys
from pathlib import Path

from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.train import run_training


def show(progress: StageProgress) -> None:
    print(progress.iteration, progress.losses["total_loss"], flush=True)


if __name__ == "__main__":
    run_training(
        RunFolder(Path(sys.argv[1])),
        callbacks=Callbacks(
            on_progress=show, on_mining=lambda done, total: print("mining", flush=True)
        ),
    )
