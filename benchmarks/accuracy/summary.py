"""What the cells say together: rows of methods, and what parts of `staged` are worth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

from .cell import Cell
from .plan import ABLATIONS, Ablation
from .record import Figures, Record
from .spread import Spread

METHODS = ("plain", "staged", "end-to-end")
FigureName = Literal["AP", "AP50"]
FIGURES: tuple[FigureName, ...] = ("AP", "AP50")
Chosen = Callable[[Record], Figures | None]
"""Which of a record's figures: with the labels as published, or with other objects ignored."""


def as_published(record: Record) -> Figures:
    """Return the figures against the labels as published."""
    return record.figures


def unlabelled_ignored(record: Record) -> Figures | None:
    """Return the figures that leave objects out which the published labels lack."""
    return record.unlabelled_ignored


CHOICES: dict[str, Chosen] = {
    "as_published": as_published,
    "unlabelled_ignored": unlabelled_ignored,
}


def spread(records: Iterable[Record], name: FigureName, chosen: Chosen = as_published) -> Spread:
    """Return a figure of the records over their seeds."""
    figures = {record.cell.seed: chosen(record) for record in records}
    return Spread({seed: getattr(one, name) for seed, one in figures.items() if one is not None})


@dataclass(frozen=True)
class Setting:
    """What figures have to share to be compared."""

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
        """What was removed, in words."""
        if self.drop is not None:
            share = f"{100 * self.drop:.0f} %"
            return share if self.recipe == "random" else f"{share}, `{self.recipe}`"
        shares = [one.removed_share for records in self.records.values() for one in records]
        return f"{100 * mean(shares):.0f} %, `{self.recipe}`" if shares else f"`{self.recipe}`"

    def spread(self, method: str, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return a figure of one method."""
        return spread(self.records[method], name, chosen)

    def difference(self, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return by how much `staged` is above `plain`, seed by seed."""
        return self.spread("staged", name, chosen) - self.spread("plain", name, chosen)

    def as_json(self) -> dict[str, Any]:
        """Return all figures; what is missing is None."""
        return {
            "recipe": self.recipe,
            "drop": self.drop,
            **{
                key: {
                    name: {
                        **{method: self.spread(method, name, of).as_json() for method in METHODS},
                        "staged - plain": self.difference(name, of).as_json(),
                    }
                    for name in FIGURES
                }
                for key, of in CHOICES.items()
            },
        }


@dataclass(frozen=True)
class Comparison:
    """`staged` as it is, compared with a variant: what the choice is worth."""

    ablation: Ablation
    row: Row
    """With the records of `staged` as it is."""
    variant: list[Record]

    def worth(self, name: FigureName, chosen: Chosen = as_published) -> Spread:
        """Return by how much `staged` is above the variant, seed by seed."""
        return self.row.spread("staged", name, chosen) - spread(self.variant, name, chosen)

    def as_json(self) -> dict[str, Any]:
        """Return all figures; what is missing is None."""
        return {
            "variant": self.ablation.name,
            "drop": self.row.drop,
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


def sections(current: Sequence[Record], planned: Sequence[Cell]) -> list[Section]:
    """Arrange cells by setting; what is planned and not there has its empty place.

    Args:
        current: records of which none is stale.
        planned: the cells that there shall be.
    """
    records = {record.cell.key: record for record in current}
    cells = {cell.key: cell for cell in (*planned, *(record.cell for record in current))}
    by_setting: dict[Setting, list[Cell]] = {}
    for cell in cells.values():
        by_setting.setdefault(Setting.of(cell), []).append(cell)
    return [_section(setting, chosen, records) for setting, chosen in by_setting.items()]


def _section(setting: Setting, cells: list[Cell], records: dict[str, Record]) -> Section:
    rows: dict[tuple[str, float | None], Row] = {}
    variants: dict[tuple[tuple[str, float | None], str], list[Record]] = {}
    for cell in cells:
        place = (cell.recipe, cell.drop)
        row = rows.setdefault(place, Row(*place))
        kept = variants.setdefault((place, cell.variant), []) if cell.variant else None
        if cell.key in records:
            (row.records[cell.method] if kept is None else kept).append(records[cell.key])
    return Section(
        setting,
        sorted(rows.values(), key=_order),
        [
            Comparison(ablation, rows[place], kept)
            for (place, variant), kept in variants.items()
            for ablation in ABLATIONS
            if ablation.name == variant
        ],
    )


def _order(row: Row) -> tuple[bool, str, float]:
    """Shares of all boxes first, from the fewest to the most."""
    return row.recipe != "random", row.recipe, row.drop or 0.0
