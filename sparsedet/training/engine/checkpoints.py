"""The checkpoints of a run: the newest of each stage, and some older ones."""

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sparsedet.atomic_io import atomic_path, sync_folder
from sparsedet.errors import RunError
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder

logger = logging.getLogger(__name__)

State = dict[str, Any]
"""Tensors and plain values; `iteration` is the number of finished iterations."""


class StageCheckpoints:
    """The checkpoints of one stage.

    The newest is always complete under the stage's name: it is replaced atomically, or not at all
    if the disk is full or the process is killed.
    """

    def __init__(self, run: RunFolder, stage: str, *, kept: int = 1) -> None:
        """Take the run, the stage's name, and the number of checkpoints to keep."""
        self.newest = run.checkpoints / f"{stage}.pth"
        self._kept = kept
        self._iteration: int | None = None

    def read(self) -> State | None:
        """Return the newest readable checkpoint; None if the stage has not begun.

        Raises:
            RunError: when there are checkpoints, but none can be read.
        """
        first_error: RunError | None = None
        older = self.older()
        if not older and not self.newest.exists():
            return None
        # The newest may have been removed because it was damaged.
        for path in (self.newest, *older):
            try:
                state = checkpoint.load(path)
                _check(state, path)
            except RunError as error:
                first_error = first_error or error
                continue
            if first_error is not None:
                logger.warning("%s; resuming from %s", first_error, path)
            else:
                self._iteration = state.get("iteration")
            return state
        assert first_error is not None
        raise first_error

    def write(self, state: State) -> None:
        """Write a checkpoint, and remove the oldest ones."""
        if self._kept > 1 and self._iteration is not None and self.newest.exists():
            _link(self.newest, self._older_path(self._iteration))
        checkpoint.save(state, self.newest)
        self._iteration = state["iteration"]
        # After a resume, a repeated checkpoint doesn't count as an older one.
        again = self._older_path(state["iteration"])
        again.unlink(missing_ok=True)
        for path in self.older()[max(0, self._kept - 1) :]:
            path.unlink(missing_ok=True)

    def older(self) -> list[Path]:
        """Return the older checkpoints, newest first."""
        found = {
            int(match[1]): path
            for path in self.newest.parent.glob(f"{self.newest.stem}-*.pth")
            if (match := re.fullmatch(r".*-(\d+)\.pth", path.name))
        }
        return [found[iteration] for iteration in sorted(found, reverse=True)]

    def _older_path(self, iteration: int) -> Path:
        return self.newest.with_name(f"{self.newest.stem}-{iteration:07d}.pth")


def _check(state: State, path: Path) -> None:
    """Refuse what no training resumes from: other content, and weights that are not finite.

    Their moving average has no part in the losses, so nothing else would notice.
    """
    if type(state.get("iteration")) is not int:
        raise RunError(f"{path}: not a checkpoint of a training that can be resumed")
    for part in ("model", "average"):
        values = state.get(part)
        for name, value in values.items() if isinstance(values, Mapping) else ():
            if isinstance(value, Tensor) and not bool(value.isfinite().all()):
                raise RunError(f"{path}: has weights that are not finite ({name})")


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; copy it if the file system doesn't support links."""
    if target.exists():
        return
    try:
        os.link(source, target)
        sync_folder(target.parent)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)
