"""The table and the picture of all curves."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sparsedet.atomic_io import read_json, write_text

from .curves import MARKS, Curve
from .figures import TARGETS

ARMS = (
    *("hand", "plain", "cleanlab", "former", "random"),
    *("ours", "sheets", "auto", "auto-sample", "sure-first", "sure-first-sample"),
)
_COLOURS = {
    "hand": "#888888",
    "plain": "#d08020",
    "cleanlab": "#8060c0",
    "former": "#a09020",
    "random": "#60b0b0",
    "ours": "#208040",
    "sheets": "#b03080",
    "auto": "#c03030",
    "auto-sample": "#e07070",
    "sure-first": "#2060c0",
    "sure-first-sample": "#80a8e8",
}
_ARMS_OF_PROMISES = ("ours", "sure-first")
"""Arms with three seeds, whose predictions are compared with what came of them."""


def write_results(curves: Sequence[Curve], folder: Path) -> str:
    """Write `value.md` and `value.png`; return the table."""
    text = _table(curves) + _promises(folder / "figures")
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
        "deviations over the seeds. A dash: never reached. Wrong boxes: share of those that got in "
        "and show no object of their class.",
        "",
        f"| data | removed | arm | seeds | {marks} | wrong boxes |",
        f"|---|---|---|---|{'---|' * (len(MARKS) + 1)}",
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
        cells.append(_wrong(own))
        lines.append(f"| {data} | {drop:.0%} | {arm} | {seeds} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _wrong(curves: Sequence[Curve]) -> str:
    """Return the share of wrong boxes; older curves did not count them."""
    counted = [curve for curve in curves if curve.wrong is not None]
    got_in = sum(curve.got_in or 0 for curve in counted)
    if not got_in:
        return "-"
    share = f"{sum(curve.wrong or 0 for curve in counted) / got_in:.1%}"
    seeds = ", ".join(str(curve.seed) for curve in sorted(counted, key=lambda c: c.seed))
    word = "seed" if len(counted) == 1 else "seeds"
    return share if len(counted) == len(curves) else f"{share} ({word} {seeds})"


def _promises(folder: Path) -> str:
    """Return rounds' predictions and outcomes, as Markdown."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for arm in _ARMS_OF_PROMISES:
        for file in sorted(folder.glob(f"*-s?-{arm}-r*.json")):
            content = read_json(file)
            groups[file.name.split("-")[0], arm, content["round"]].append(content)
    if not groups:
        return ""
    heads = " | ".join(f"promised {target:g}" for target in TARGETS)
    lines = [
        "",
        "Expected precision, by round (the first has no reviews before it): actual precision of "
        "the boxes that together promise so much (their number), the expected calibration error of "
        "all candidates, and that of the scores. Candidates by expected precision: recall of the "
        "missing objects at 95 % precision, and area under the precision-recall curve. Estimate: "
        "how often the 90 % interval held the share of objects with a box after the round, and its "
        "mean width in points.",
        "",
        f"| data | arm | round | seeds | {heads} | error | of scores | recall | area | held | "
        "width |",
        f"|---|---|---|---|{'---|' * len(TARGETS)}---|---|---|---|---|---|",
    ]
    for (data, arm, number), rounds in sorted(groups.items()):
        cells = _kept([one["promises"] for one in rounds])
        estimates = [(one["share"], one["estimate"]) for one in rounds]
        held = sum(e["low"] - 1e-9 <= share <= e["high"] + 1e-9 for share, e in estimates)
        width = mean(100 * (e["high"] - e["low"]) for _, e in estimates)
        errors = [_error(rounds, name) for name in ("calibration", "calibration_of_scores")]
        ranking = [mean(r["ranking"][name] for r in rounds) for name in ("recall_at_95", "area")]
        lines.append(
            f"| {data} | {arm} | {number} | {len(rounds)} | {' | '.join(cells)} | "
            f"{errors[0]:.3f} | {errors[1]:.3f} | {ranking[0]:.3f} | {ranking[1]:.3f} | "
            f"{held} of {len(rounds)} | {width:.1f} |"
        )
        strict = _kept([one["promises_neutral_wrong"] for one in rounds])
        if strict != cells:
            lines.append(
                f"| {data}, neutral boxes count as wrong | | | | {' | '.join(strict)} | | | | | | |"
            )
    return "\n".join([*lines, ""])


def _kept(rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return the actual precision at each target, over rounds of all seeds."""
    cells = []
    for target in TARGETS:
        boxes, right = (
            sum(one[f"{target:g}"][name] for one in rounds) for name in ("boxes", "right")
        )
        cells.append(f"{right / boxes:.3f} ({boxes:,})" if boxes else "- (0)")
    return cells


def _error(rounds: Sequence[dict[str, Any]], name: str) -> float:
    """Return the expected calibration error over rounds of all seeds."""
    bins = [
        [sum(values) for values in zip(*(one[name][row] for one in rounds), strict=True)]
        for row in range(len(rounds[0][name]))
    ]
    off = sum(abs(promised - right) for _, promised, right in bins)
    return float(off / max(sum(count for count, _, _ in bins), 1))


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
