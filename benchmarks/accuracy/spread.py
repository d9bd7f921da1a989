"""A figure over seeds: its mean, and how much the seeds differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

_DIGITS = 2
"""Of every figure, as in the records: tables and files then round the same one."""


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
        return round(mean(self.values.values()), _DIGITS)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation; None for a single seed, which says nothing of it."""
        if len(self.values) < 2:
            return None
        return round(stdev(self.values.values()), _DIGITS)

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
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "seeds": {
                str(seed): round(value, _DIGITS) for seed, value in sorted(self.values.items())
            },
        }
