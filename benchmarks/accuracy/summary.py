"""Cells arranged by setting: rows of methods, and the value of the parts of `staged`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any, Literal

from .plan import ABLATIONS, Ablation, Cell
from .record import Figures, Record

METHODS = ("plain", "augmented", "staged", "end-to-end")
FigureName = Literal["AP", "AP50"]
FIGURES: tuple[FigureName, ...] = ("AP", "AP50")
Chosen = Callable[[Record], Figures | None]
"""Selects a record's figures: with labels as published, or ignoring other objects."""

_DIGITS = 2
"""Decimals of all figures, as in the records, so that tables and files round the same figure."""


@dataclass(frozen=True)
class Spread:
    """A figure by seed."""

    values: Mapping[int, float]

    def __sub__(self, other: "Spread") -> "Spread":
        """Return the difference for every seed that both have."""
        shared = sorted(self.values.keys() & other.values.keys())
        return Spread({seed: self.values[seed] - other.values[seed] for seed in shared})

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def mean(self) -> float:
        """The mean; there must be a value."""
        return round(mean(self.values.values()), _DIGITS)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation; None for a single seed."""
        if len(self.values) < 2:
            return None
        return round(stdev(self.values.values()), _DIGITS)

    def text(self, *, signed: bool = False) -> str:
        """Return mean, deviation and number of seeds; a dash if there are none."""
        if not self:
            return "-"
        shown = f"{self.mean:+.1f}" if signed else f"{self.mean:.1f}"
        if self.deviation is not None:
            shown += f" ± {self.deviation:.1f}"
        return f"{shown} ({len(self.values)})"

    def as_json(self) -> dict[str, Any] | None:
        """Return the same for a file; None if there are none."""
        if not self:
            return None
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "seeds": {
                str(seed): round(value, _DIGITS) for seed, value in sorted(self.values.items())
            },
        }


def as_published(record: Record) -> Figures:
    """Return the figures against the labels as published."""
    return record.figures


def unlabelled_ignored(record: Record) -> Figures | None:
    """Return the figures that ignore objects which the published labels lack."""
    return record.unlabelled_ignored


CHOICES: dict[str, Chosen] = {
    "as_published": as_published,
    "unlabelled_ignored": unlabelled_ignored,
}


def spread(records: Iterable[Record], name: FigureName, chosen: Chosen = as_published) -> Spread:
    """Return a figure of the records over their seeds."""
    figures = {record.cell.seed: chosen(record) for record in records}
    return Spread({seed: getattr(one, name) for seed, one in figures.items() if one is not None})


def commits(records: Iterable[Record]) -> list[str]:
    """Return the commits of the records, each once, in the order of their dates."""
    return list(dict.fromkeys(one.commit for one in sorted(records, key=lambda one: one.date)))


@dataclass(frozen=True)
class Setting:
    """What comparable figures must share."""

    data: str
    iterations: int
    config: str

    @staticmethod
    def of(cell: Cell) -> "Setting":
        """Return the setting of a cell."""
        return Setting(cell.data, cell.iterations, cell.config)


@dataclass(frozen=True)
class Row:
    """The methods on the same sparse labels."""

    recipe: str
    drop: float | None
    records: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in METHODS})
    """By method."""

    @property
    def label(self) -> str:
        """What was removed, as shown in a table."""
        if self.drop is not None:
            share = f"{100 * self.drop:.0f} %"
            return share if self.recipe == "random" else f"{share}, `{self.recipe}`"
        shares = [one.removed_share for records in self.records.values() for one in records]
        return f"{100 * mean(shares):.0f} %, `{self.recipe}`" if shares else f"`{self.recipe}`"

    def spread(self, method: str, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return a figure of one method."""
        return spread(self.records[method], name, chosen)

    def difference(self, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return `staged` minus `augmented`, seed by seed: what it owes to missing labels."""
        return self.spread("staged", name, chosen) - self.spread("augmented", name, chosen)

    def as_json(self) -> dict[str, Any]:
        """Return all figures; what is missing is None."""
        return {
            "recipe": self.recipe,
            "drop": self.drop,
            "commits": {method: commits(records) for method, records in self.records.items()},
            **{
                key: {
                    name: {
                        **{method: self.spread(method, name, of).as_json() for method in METHODS},
                        "staged - augmented": self.difference(name, of).as_json(),
                    }
                    for name in FIGURES
                }
                for key, of in CHOICES.items()
            },
        }


@dataclass(frozen=True)
class Comparison:
    """`staged` compared with a variant without one part, to show the part's value."""

    ablation: Ablation
    row: Row
    """Including the records of the whole `staged`."""
    variant: list[Record]

    def worth(self, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return `staged` minus the variant, seed by seed."""
        return self.row.spread("staged", name, chosen) - spread(self.variant, name, chosen)

    def as_json(self) -> dict[str, Any]:
        """Return all figures; what is missing is None."""
        return {
            "variant": self.ablation.name,
            "drop": self.row.drop,
            "commits": commits(self.variant),
            **{
                key: {
                    name: {
                        "figure": spread(self.variant, name, of).as_json(),
                        "worth": self.worth(name, of).as_json(),
                    }
                    for name in FIGURES
                }
                for key, of in CHOICES.items()
            },
        }


@dataclass(frozen=True)
class Section:
    """All cells of one setting."""

    setting: Setting
    rows: list[Row]
    comparisons: list[Comparison]

    @property
    def records(self) -> list[Record]:
        """Those of the rows."""
        return [one for row in self.rows for of in row.records.values() for one in of]

    def as_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            **vars(self.setting),
            "rows": [row.as_json() for row in self.rows],
            "comparisons": [one.as_json() for one in self.comparisons],
        }


def sections(records: Sequence[Record], planned: Sequence[Cell]) -> list[Section]:
    """Arrange cells by setting, including planned ones without a record.

    Excludes variants that are not an ablation of the plan, by name and overrides.
    """
    by_cell = {record.cell: record for record in records}
    by_setting: dict[Setting, list[Cell]] = {}
    for cell in dict.fromkeys((*planned, *by_cell)):
        by_setting.setdefault(Setting.of(cell), []).append(cell)
    return [_section(setting, cells, by_cell) for setting, cells in by_setting.items()]


def _section(setting: Setting, cells: list[Cell], by_cell: dict[Cell, Record]) -> Section:
    rows: dict[tuple[str, float | None], Row] = {}
    comparisons: dict[object, Comparison] = {}
    ablations = {(ablation.name, ablation.overrides): ablation for ablation in ABLATIONS}
    for cell in cells:
        row = rows.setdefault((cell.recipe, cell.drop), Row(cell.recipe, cell.drop))
        kept = row.records[cell.method]
        if cell.variant:
            ablation = ablations.get((cell.variant, cell.overrides))
            if ablation is None:
                continue
            place = (cell.recipe, cell.drop, ablation.name)
            kept = comparisons.setdefault(place, Comparison(ablation, row, [])).variant
        if cell in by_cell:
            kept.append(by_cell[cell])
    return Section(setting, sorted(rows.values(), key=_order), list(comparisons.values()))


def _order(row: Row) -> tuple[bool, str, float]:
    """Sort the recipe `random` first, by share."""
    return row.recipe != "random", row.recipe, row.drop or 0.0
