"""How fast a training is."""

import time
from collections import deque


class Throughput:
    """Speed over the last iterations, loading included."""

    def __init__(self, iterations: int) -> None:
        """Begin to measure; `iterations` are those that count, the latest ones."""
        self._steps: deque[tuple[int, float]] = deque(maxlen=iterations)
        self._last = time.monotonic()

    def add(self, images: int) -> None:
        """Count an iteration that ended just now, on so many images."""
        now = time.monotonic()
        self._steps.append((images, now - self._last))
        self._last = now

    def skip_pause(self) -> None:
        """Go on after a pause, such as a validation: what passed since `add` does not count."""
        self._last = time.monotonic()

    @property
    def images_per_second(self) -> float:
        """Of the iterations that count; 0 before the first one."""
        seconds = sum(seconds for _, seconds in self._steps)
        return sum(images for images, _ in self._steps) / seconds if seconds else 0.0

    @property
    def seconds_per_iteration(self) -> float:
        """Of the iterations that count; 0 before the first one."""
        return sum(seconds for _, seconds in self._steps) / max(len(self._steps), 1)
