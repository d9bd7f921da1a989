"""The table and the picture of all curves."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from sparsedet.atomic_io import write_text

from .curves import MARKS, Curve

ARMS = ("hand", "plain", "cleanlab", "former", "random", "ours")
_COLOURS = {
    "hand": "#888888",
    "plain": "#d08020",
    "cleanlab": "#8060c0",
    "former": "#4080d0",
    "random": "#60b0b0",
    "ours": "#208040",
}


def write_results(curves: Sequence[Curve], folder: Path) -> str:
    """Write `value.md` and `value.png`; return the table."""
    text = _table(curves)
    write_text(folder / "value.md", text)
    _plot(curves, folder / "value.png")
    return text


def _table(curves: Sequence[Curve]) -> str:
    marks = " | ".join(f"{mark:.0%}" for mark in MARKS)
    lines = [
        "# What reviewers' time buys",
        "",
        "Made by `benchmarks/value.py`. Seconds of review until so large a share of the objects "
        "has a box, as a share of the seconds by hand to the same point; means ± sample standard "
        "deviations over the seeds. A dash: never reached.",
        "",
        f"| data | removed | arm | seeds | {marks} |",
        f"|---|---|---|---|{'---|' * len(MARKS)}",
    ]
    groups: dict[tuple[str, float, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        groups[curve.data, curve.drop, curve.arm].append(curve)
    hands = {(c.data, c.drop, c.seed): c for c in curves if c.arm == "hand"}
    for (data, drop, arm), own in sorted(
        groups.items(), key=lambda item: (item[0][:2], ARMS.index(item[0][2]))
    ):
        cells = []
        for mark in MARKS:
            shares = [
                _share(curve.seconds_to(mark), hands[data, drop, curve.seed].seconds_to(mark))
                for curve in own
                if (data, drop, curve.seed) in hands
            ]
            cells.append(_cell(shares))
        seeds = ", ".join(str(curve.seed) for curve in sorted(own, key=lambda c: c.seed))
        lines.append(f"| {data} | {drop:.0%} | {arm} | {seeds} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _share(seconds: float | None, by_hand: float | None) -> float:
    return seconds / by_hand if seconds is not None and by_hand else math.nan


def _cell(shares: Sequence[float]) -> str:
    if not shares or any(map(math.isnan, shares)):
        return "-"
    spread = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * mean(shares):.1f}{spread} %"


def _plot(curves: Sequence[Curve], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sets = sorted({(curve.data, curve.drop) for curve in curves})
    figure, axes = plt.subplots(1, len(sets), figsize=(5 * len(sets), 4), squeeze=False)
    for axis, (data, drop) in zip(axes[0], sets, strict=True):
        for curve in curves:
            if (curve.data, curve.drop) == (data, drop):
                share = [100 * found / curve.objects for found in (curve.start, *curve.found)]
                minutes = [seconds / 60 for seconds in (0.0, *curve.seconds)]
                axis.plot(minutes, share, color=_COLOURS[curve.arm], linewidth=1, label=curve.arm)
        axis.set(title=f"{data}, {drop:.0%} removed", xlabel="minutes of review", ylim=(None, 100))
        handles, labels = axis.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        axis.legend([named[arm] for arm in ARMS if arm in named], [a for a in ARMS if a in named])
    axes[0][0].set_ylabel("objects with a box, %")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
