"""What `test_kill.py` runs in a process and kills: resumes a run, and reports every iteration."""

from multiprocessing.connection import Connection
from pathlib import Path

from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import run_training


def resume(root: Path, progress: Connection) -> None:
    """Resume the run `root`, sending something after every iteration and every mined image."""
    run_training(
        RunFolder(root),
        callbacks=Callbacks(
            on_progress=lambda _: progress.send_bytes(b"trained"),
            on_mining=lambda done, total: progress.send_bytes(b"mined"),
        ),
    )
