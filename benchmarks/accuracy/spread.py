"""A figure over seeds: its mean, and how much the seeds differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A figure by seed."""

    values: Mapping[int, float]

    def __sub__(self, other: "Spread") -> "Spread":
        """Return the difference on every seed that both have."""
        shared = sorted(self.values.keys() & other.values.keys())
        return Spread({seed: self.values[seed] - other.values[seed] for seed in shared})

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def mean(self) -> float:
        """The mean; there has to be a value."""
        return mean(self.values.values())

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation; None for a single seed, which says nothing of it."""
        return stdev(self.values.values()) if len(self.values) > 1 else None

    def text(self, *, signed: bool = False) -> str:
        """Return mean, deviation and number of seeds; a dash where there are none."""
        if not self:
            return "-"
        shown = f"{self.mean:+.1f}" if signed else f"{self.mean:.1f}"
        if self.deviation is not None:
            shown += f" ± {self.deviation:.1f}"
        return f"{shown} ({len(self.values)})"

    def as_json(self) -> dict[str, Any] | None:
        """Return the same for a file, None where there is nothing."""
        if not self:
            return None
        deviation = self.deviation
        return {
            "mean": round(self.mean, 2),
            "deviation": None if deviation is None else round(deviation, 2),
            "seeds": {str(seed): round(value, 2) for seed, value in sorted(self.values.items())},
        }
