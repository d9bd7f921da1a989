"""Writing tables and plot of all cells."""

from collections.abc import Sequence
from pathlib import Path

from sparsedet.atomic_io import write_bytes, write_json, write_text

from .cell import Cell
from .plan import PLANS, cells
from .plot import plot
from .record import Record
from .summary import Setting, sections
from .tables import markdown

NAME = "accuracy"


def write_report(
    records: Sequence[Record],
    planned: Sequence[Cell],
    results: Path,
) -> None:
    """Write `accuracy.md`, `.json` and `.png`.

    Args:
        records: all of them.
        planned: the cells that there shall be of the dataset at hand; of others that have cells,
            those of their plans shall be.
        results: where to write.
    """
    known = {Setting.of(cell) for cell in planned}
    wanted = list(planned)
    for setting in sorted({Setting.of(record.cell) for record in records} - known, key=str):
        plan = PLANS.get(setting.data)
        if plan is not None:
            wanted += cells(
                setting.data, plan, iterations=setting.iterations, config=setting.config
            )
    shown = sorted(sections(records, wanted), key=lambda section: str(section.setting))
    write_text(results / f"{NAME}.md", markdown(shown))
    write_json(
        results / f"{NAME}.json",
        {"sections": [section.as_json() for section in shown]},
        indent=1,
    )
    picture = plot(shown)
    if picture is None:
        (results / f"{NAME}.png").unlink(missing_ok=True)
    else:
        write_bytes(results / f"{NAME}.png", picture)
