"""The record of a finished cell: its figures, and the commit of the code."""

import subprocess
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import SparseDetError
from sparsedet.training.evaluation.average_precision import Evaluation

from .plan import Cell
from .scoring import MinedQuality

UNKNOWN = "unknown"
CHANGED = "+changes"
_CODE = ("benchmarks", "configs", "sparsedet", "splits", ":!benchmarks/results")
"""The code that figures depend on, as git pathspecs."""


def code_commit(repository: Path = Path(__file__).parents[2]) -> str:
    """Return the commit of the code: a short hash, with `+changes` for uncommitted code.

    Without git or a repository, `unknown`.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        commit, changes = git("rev-parse", "--short=7", "HEAD"), git("status", "-s", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return f"{commit}{CHANGED if changes else ''}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(_Part):
    """COCO metrics, 0 to 100."""

    AP: float
    AP50: float
    AP75: float
    per_class: dict[str, float | None]
    """AP by category name; None: the category has no annotations."""
    images: int
    annotations: int

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Figures":
        """Return the figures of an evaluation that are compared between cells."""
        figures = evaluation.as_json()
        return cls(**{name: figures[name] for name in cls.model_fields})


class Record(_Part):
    """The result of a cell."""

    cell: Cell
    commit: str
    """Commit of the code that trained it; see `code_commit`."""
    training_boxes: int
    removed_boxes: int
    figures: Figures
    """Against the labels as published."""
    unlabelled_ignored: Figures | None
    """Ignoring detections on objects that the published labels lack; None: none are known."""
    mined: dict[str, MinedQuality]
    """The mined boxes used by `staged` at the end, by kind."""
    seconds: float
    """Seconds of training, including mining."""
    cpu_seconds: float
    """Processor time of the same: without waits, but longer if programs share memory."""
    versions: dict[str, str]
    date: str
    """ISO 8601, UTC."""
    threads: int | None = None
    """Version of torch; None: not recorded."""

    @property
    def removed_share(self) -> float:
        """Share of removed boxes, 0 to 1."""
        return self.removed_boxes / max(self.removed_boxes + self.training_boxes, 1)


def record_file(folder: Path, cell: Cell) -> Path:
    """Return the path of a cell's record below the folder of all records."""
    return folder / f"{cell.key}.json"


def write_record(record: Record, folder: Path) -> None:
    """Write a record, atomically."""
    write_json(record_file(folder, record.cell), record.model_dump(), indent=1)


def read_record(folder: Path, cell: Cell) -> Record | None:
    """Return the record of a cell; None if there is none, or one with other overrides."""
    path = record_file(folder, cell)
    record = _read(path) if path.exists() else None
    return record if record is not None and record.cell == cell else None


def read_records(folder: Path) -> list[Record]:
    """Return all records, sorted by path."""
    return [_read(path) for path in sorted(folder.glob("*/*.json"))]


def _read(path: Path) -> Record:
    content: Any = read_json(path)
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise SparseDetError(
            f"{path}: not the record of a cell ({place}: {first['msg']}); remove it, and the cell "
            "will be trained again"
        ) from error
