"""The results as JSON and Markdown, complete files at any time."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparsedet.atomic_io import write_json, write_text

Figures = dict[str, Any]
"""Figures by name, or by row and name."""

NOT_RUN = "not run: the time was up"


@dataclass
class Part:
    """A part of the check."""

    name: str
    state: str = NOT_RUN
    """ok, or why not."""
    seconds: float = 0.0
    figures: Figures = field(default_factory=dict)


@dataclass
class Record:
    """A check of a device."""

    device: str
    about: Mapping[str, Any]
    """Versions, commit, configuration, data."""
    folder: Path
    parts: list[Part]

    def write(self) -> None:
        """Write both files, atomically."""
        content = {
            "device": self.device,
            **self.about,
            "parts": [asdict(part) for part in self.parts],
        }
        write_json(self._path("json"), content, indent=1)
        write_text(self._path("md"), self.to_markdown())

    def _path(self, suffix: str) -> Path:
        name = re.sub(r"[^a-z0-9]+", "-", self.device.lower()).strip("-")
        return self.folder / f"{name}.{suffix}"

    def to_markdown(self) -> str:
        """Return the figures as tables."""
        lines = [f"# GPU check: {self.device}", ""]
        lines += [f"- {name}: {value}" for name, value in self.about.items()]
        for part in self.parts:
            lines += ["", f"## {part.name}", "", f"{part.state} ({part.seconds:.0f} s)"]
            if part.figures:
                lines += ["", *_table(part.figures)]
        return "\n".join(lines) + "\n"


def _table(figures: Figures) -> list[str]:
    """Return a table with a row per group of figures, or per figure if there are no groups."""
    groups = {name: row for name, row in figures.items() if isinstance(row, Mapping)}
    if not groups:
        return ["| | |", "|---|---|", *(f"| {name} | {_text(v)} |" for name, v in figures.items())]
    columns = list(dict.fromkeys(name for row in groups.values() for name in row))
    return [
        f"| | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
        *(
            f"| {name} | {' | '.join(_text(row.get(column, '')) for column in columns)} |"
            for name, row in groups.items()
        ),
    ]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
