"""The report: all cells as Markdown tables, JSON, and a plot over the share of removed boxes."""

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsedet.atomic_io import write_bytes, write_json, write_text
from sparsedet.training.engine.loss_curves import PLOT_STYLE

from .plan import PLANS, Cell, cells
from .record import Record
from .summary import (
    FIGURES,
    METHODS,
    Chosen,
    Section,
    Setting,
    as_published,
    commits,
    sections,
    unlabelled_ignored,
)

NAME = "accuracy"
_INTRODUCTION = """\
# Accuracy on sparse labels

Made by `benchmarks/accuracy.py`. Boxes are removed only from the training annotations. All methods
train for the same total number of iterations: `plain` on the labels as they are; `augmented` is
`plain` with copy-paste and scale jitter; `staged`, the default, augments as well, and mines;
`end-to-end` has the method and mining settings of SparseDet as published. Optimiser, image size and
the moving average of the weights are those of the configuration, the same for all. AP is the mean
over IoU 0.50 to 0.95, in percent. Figures are means ± sample standard deviations (number of seeds):
a 95 % interval of the mean is nine times as wide with two seeds, 2.5 times with three, and as wide
with six. A seed decides which boxes are removed, and all that is random in training; the difference
is `staged` minus `augmented`, seed by seed: what mining is worth. A dash: not trained yet.
`benchmarks/speed.py` measures what the methods cost.
"""
_SHOWN = {"labels": "labels", "doubtful": "ignored"}
"""Kinds of mined boxes, as the tables name them."""
_LOOKS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#6b7280", "marker": "s"},
    "augmented": {"color": "#7a9a3c", "marker": "D"},
    "staged": {"color": "#e07b00", "marker": "o"},
    "end-to-end": {"color": "#2f6fc4", "marker": "^"},
}
_PANEL_SIZE = 4.2, 3.3
"""Inches: width and height."""
_SHIFT = 1.0
"""Percent between the methods' points at one share, so that no error bar hides another."""


def write_report(records: Sequence[Record], planned: Sequence[Cell], results: Path) -> None:
    """Write `accuracy.md`, `.json` and `.png`.

    Args:
        records: all of them.
        planned: the cells that there should be of one dataset; of others that have records, the
            plan says which.
        results: where to write.
    """
    known = {Setting.of(cell) for cell in planned}
    wanted = list(planned)
    for setting in sorted({Setting.of(record.cell) for record in records} - known, key=str):
        plan = PLANS.get(setting.data)
        if plan is not None:
            wanted += cells(plan=plan, **vars(setting))
    shown = sorted(sections(records, wanted), key=lambda section: str(section.setting))
    write_text(results / f"{NAME}.md", markdown(shown))
    content = {"sections": [section.as_json() for section in shown]}
    write_json(results / f"{NAME}.json", content, indent=1)
    picture = plot(shown)
    if picture is None:
        (results / f"{NAME}.png").unlink(missing_ok=True)
    else:
        write_bytes(results / f"{NAME}.png", picture)


def markdown(sections: Sequence[Section]) -> str:
    """Return the report."""
    return "\n".join([_INTRODUCTION, *(line for part in sections for line in _section(part))])


def _section(section: Section) -> Iterator[str]:
    setting = section.setting
    yield f"## {setting.data}"
    yield ""
    yield f"{setting.iterations} iterations, configuration `{setting.config}`.{_counts(section)}"
    yield ""
    yield from _commits(section)
    yield from _methods(section, as_published)
    if any(record.unlabelled_ignored for record in section.records):
        yield (
            "The published test labels are incomplete. With detections on objects that they lack "
            "(`unlabelled_test.json`) ignored:"
        )
        yield ""
        yield from _methods(section, unlabelled_ignored)
    if section.comparisons:
        yield from _comparisons(section)
    if any(record.mined for record in section.records):
        yield from _mined(section)


def _counts(section: Section) -> str:
    for record in section.records:
        figures, boxes = record.figures, record.training_boxes + record.removed_boxes
        return (
            f" {boxes:,} boxes on the training images before the removal; {figures.images:,} test "
            f"images with {figures.annotations:,} boxes."
        )
    return ""


def _commits(section: Section) -> Iterator[str]:
    """Say at which commits the cells were trained: one line for all, or one per method."""
    variants = [record for one in section.comparisons for record in one.variant]
    of_all = commits([*section.records, *variants])
    if len(of_all) < 2:
        yield from [f"Trained at commit {of_all[0]}.", ""] if of_all else []
        return
    yield "Trained at these commits, oldest first:"
    yield ""
    for method in METHODS:
        by_row = {row.label: ", ".join(commits(row.records[method])) for row in section.rows}
        found = {label: named for label, named in by_row.items() if named}
        if len(set(found.values())) == 1:
            yield f"- `{method}`: {next(iter(found.values()))}"
        elif found:
            named = "; ".join(f"{label} removed: {named}" for label, named in found.items())
            yield f"- `{method}`: {named}"
    if variants:
        yield f"- variants of `staged`: {', '.join(commits(variants))}"
    yield ""


def _methods(section: Section, chosen: Chosen) -> Iterator[str]:
    paired = ("plain", "augmented", "staged")
    heads = (*paired, "difference", "end-to-end")
    figures = (f"{name} {head}" for name in FIGURES for head in heads)
    yield from _head("removed", *figures)
    for row in section.rows:
        texts = [row.label]
        for name in FIGURES:
            texts += [row.spread(method, name, chosen).text() for method in paired]
            texts.append(row.difference(name, chosen).text(signed=True))
            texts.append(row.spread("end-to-end", name, chosen).text())
        yield _line(*texts)
    yield ""


def _comparisons(section: Section) -> Iterator[str]:
    removed = ", ".join(dict.fromkeys(one.row.label for one in section.comparisons))
    yield (
        f"What the parts of `staged` are worth at {removed} removed: its figures minus those of "
        "each variant, seed by seed, labels as published. `benchmarks/speed.py` measures what they "
        "cost."
    )
    yield ""
    yield from _head("variant", "what `staged` does instead", "worth AP", "worth AP50")
    for one in section.comparisons:
        worth = [one.worth(name).text(signed=True) for name in FIGURES]
        yield _line(one.ablation.name, one.ablation.says, *worth)
    yield ""


def _mined(section: Section) -> Iterator[str]:
    yield (
        "The boxes that `staged` mined last and trained on (means over the seeds): how many lie on "
        "a removed box (IoU 0.5, one to one), how many have its class, too, and how many others "
        "lie on an object that the published labels lack. There is no row where they were not "
        "used, as few labels seemed to be missing."
    )
    yield ""
    yield from _head(
        "removed",
        "boxes removed",
        "mined as",
        "mined",
        "on a removed box",
        "of its class",
        "on an unlabelled object",
    )
    for row in section.rows:
        records = [record for record in row.records["staged"] if record.mined]
        kinds = dict.fromkeys(kind for record in records for kind in record.mined)
        for kind in kinds:
            if not any(record.mined[kind].boxes for record in records if kind in record.mined):
                continue
            yield _line(row.label, *_mined_texts(records, kind))
    yield ""


def _mined_texts(records: Sequence[Record], kind: str) -> Iterator[str]:
    found = [record.mined[kind] for record in records if kind in record.mined]
    boxes = sum(one.boxes for one in found)
    yield f"{sum(record.removed_boxes for record in records) / len(records):,.0f}"
    yield _SHOWN.get(kind, kind)
    yield f"{boxes / len(found):,.0f}"
    for name in ("on_removed", "right_class", "on_unlabelled"):
        counts = [getattr(one, name) for one in found]
        known = boxes > 0 and None not in counts
        yield f"{100 * sum(counts) / boxes:.0f} %" if known else "-"


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield f"|{'---|' * len(names)}"


def _line(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def plot(sections: Sequence[Section]) -> bytes | None:
    """Return a PNG picture with a panel per section; None where there is nothing to show."""
    shown = [section for section in sections if _points(section)]
    if not shown:
        return None
    with matplotlib.style.context(["default", PLOT_STYLE]):
        width, height = _PANEL_SIZE
        figure = Figure(figsize=(width * len(shown), height), layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for panel, section in zip(panels, shown, strict=True):
            _draw(panel, section)
        handles = {
            label: handle
            for panel in figure.axes
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
        data = io.BytesIO()
        # Without matplotlib's version, so that the same figures give the same file.
        figure.savefig(data, format="png", dpi=160, metadata={"Software": None})
    return data.getvalue()


def _points(section: Section) -> dict[str, list[tuple[float, float, float]]]:
    """Return removed share in percent, mean AP and its deviation (nan: one seed), by method."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    for row in section.rows:
        for method in METHODS:
            ap = row.spread(method, "AP")
            if ap and row.recipe == "random" and row.drop is not None:
                at = points.setdefault(method, [])
                deviation = math.nan if ap.deviation is None else ap.deviation
                at.append((100 * row.drop, ap.mean, deviation))
    return points


def _draw(panel: Any, section: Section) -> None:
    points = _points(section)
    for number, method in enumerate(METHODS):
        if method not in points:
            continue
        shares, means, deviations = zip(*points[method], strict=True)
        panel.errorbar(
            [share + (number - 1) * _SHIFT for share in shares],
            means,
            yerr=deviations,
            label=method,
            linewidth=1.8,
            markersize=5.5,
            elinewidth=1.2,
            capsize=3,
            **_LOOKS[method],
        )
    drops = sorted({share for at in points.values() for share, _, _ in at})
    panel.set_xticks(drops, [f"{share:.0f} %" for share in drops])
    # The same in all panels, to make slopes comparable.
    panel.set_xlim(-8, 100)
    panel.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panel.set_xlabel("boxes removed")
    panel.set_ylabel("AP")
    panel.set_title(section.setting.data)
    panel.grid(axis="y", color="#000000", alpha=0.12, linewidth=0.8)
    panel.set_axisbelow(True)
