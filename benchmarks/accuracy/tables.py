"""The cells as Markdown."""

from collections.abc import Iterator, Sequence

from .record import Record
from .summary import FIGURES, METHODS, Chosen, Section, as_published, commits, unlabelled_ignored

_INTRODUCTION = """\
# Accuracy on sparse labels

Made by `benchmarks/accuracy.py`. Boxes are removed from the training annotations alone. Every
method trains for the same number of iterations in all: `plain` on the labels as they are; `staged`,
the default; `end-to-end`, the method and mining settings of SparseDet as published. Optimiser,
image size and the moving average of the weights are those of the configuration, the same for all
three. `staged` alone pastes labelled objects into other images and zooms: `plain` might gain by
that, too. AP is the mean over IoU 0.50 to 0.95, in percent. Figures are means ± sample standard
deviations (number of seeds): a 95 % interval of the mean is nine times as wide with two seeds, 2.5
times with three, and as wide with six. A seed decides which boxes are removed and how training
goes; the difference is that of `staged` to `plain`, seed by seed. A dash: not trained yet. What the
methods cost is measured by `benchmarks/speed.py`.
"""
_SHOWN = {"labels": "labels", "doubtful": "ignored"}
"""Kinds of mined boxes, in words."""


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
    """Say whose code trained the cells: one line where it is one commit's, else one per method."""
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
    heads = ("plain", "staged", "difference", "end-to-end")
    figures = (f"{name} {head}" for name in FIGURES for head in heads)
    yield from _head("removed", *figures)
    for row in section.rows:
        texts = [row.label]
        for name in FIGURES:
            texts += [row.spread(method, name, chosen).text() for method in ("plain", "staged")]
            texts.append(row.difference(name, chosen).text(signed=True))
            texts.append(row.spread("end-to-end", name, chosen).text())
        yield _line(*texts)
    yield ""


def _comparisons(section: Section) -> Iterator[str]:
    removed = ", ".join(dict.fromkeys(one.row.label for one in section.comparisons))
    yield (
        f"What the parts of `staged` are worth at {removed} removed: its figures minus those of "
        "each variant, seed by seed, labels as published. What they cost is measured by "
        "`benchmarks/speed.py`."
    )
    yield ""
    yield from _head("variant", "what `staged` does instead", "worth AP", "worth AP50")
    for one in section.comparisons:
        worth = [one.worth(name).text(signed=True) for name in FIGURES]
        yield _line(one.ablation.name, one.ablation.says, *worth)
    yield ""


def _mined(section: Section) -> Iterator[str]:
    yield (
        "What `staged` trained on besides the annotations, as its last mining found it (means over "
        "the seeds): how many of these boxes lie on a removed one (IoU 0.5, one to one), how many "
        "have its class too, and how many others lie on an object that the published labels lack. "
        "There is no row where the last mining's boxes were not used, as few labels seemed to be "
        "missing."
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
