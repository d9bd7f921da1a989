"""The metrics of a run: `metrics.json`, one JSON object per line, and TensorBoard."""

import json
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sparsedet.atomic_io import write_text
from sparsedet.reading import read_text
from sparsedet.runtime import processes


class MetricsLog:
    """Appends the metrics of a training stage; of several processes only the first writes."""

    def __init__(self, path: Path, tensorboard: Path, stage: str, start: int) -> None:
        """Resume `stage` at iteration `start`; entries of a killed run beyond it are removed."""
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
        """Append the metrics of an iteration (given as the number of finished iterations)."""
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
        return bool(line.get("stage") == self.stage and line["iteration"] > start)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file."""
    return _lines(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in read_text(path, "metrics file").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            # A killed process may leave a partial line at the end.
            continue
        if isinstance(line, dict) and type(line.get("iteration")) is int:
            lines.append(line)
    return lines


class Throughput:
    """Speed over the last iterations, loading included."""

    def __init__(self, iterations: int) -> None:
        """Start measuring; `iterations` is the size of the window."""
        self._steps: deque[tuple[int, float]] = deque(maxlen=iterations)
        self._last = time.monotonic()

    def add(self, images: int) -> None:
        """Record the end of an iteration with this many images."""
        now = time.monotonic()
        self._steps.append((images, now - self._last))
        self._last = now

    def skip_pause(self) -> None:
        """Exclude a pause, such as a validation: the time since `add` does not count."""
        self._last = time.monotonic()

    @property
    def images_per_second(self) -> float:
        """Images per second in the window; 0 before the first iteration."""
        seconds = sum(seconds for _, seconds in self._steps)
        return sum(images for images, _ in self._steps) / seconds if seconds else 0.0

    @property
    def seconds_per_iteration(self) -> float:
        """Seconds per iteration in the window; 0 before the first one."""
        return sum(seconds for _, seconds in self._steps) / max(len(self._steps), 1)
