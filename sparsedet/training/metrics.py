"""The numbers of a run: `metrics.json`, one JSON object per line, and TensorBoard beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sparsedet import processes
from sparsedet.files import write_text


class MetricsLog:
    """Appends the numbers of one training stage; of several processes only the first writes."""

    def __init__(self, path: Path, tensorboard: Path, stage: str, start: int) -> None:
        """Continue `stage` at iteration `start`; what a lost run wrote beyond it is removed."""
        self.path = path
        self.stage = stage
        self._tensorboard: SummaryWriter | None = None
        if not processes.is_first():
            return
        if path.exists():
            kept = [line for line in _lines(path) if not self._is_beyond(line, start)]
            write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._tensorboard = SummaryWriter(str(tensorboard / stage), purge_step=start + 1)

    def write(self, iteration: int, values: Mapping[str, Any]) -> None:
        """Append the numbers of an iteration (the number of iterations done)."""
        if self._tensorboard is None:
            return
        entry = {"stage": self.stage, "iteration": iteration, **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self._tensorboard.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _is_beyond(self, line: dict[str, Any], start: int) -> bool:
        return line.get("stage") == self.stage and line.get("iteration", 0) > start


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file."""
    return _lines(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            # A killed process may leave half a line at the end.
            continue
    return lines
