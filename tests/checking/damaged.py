"""A workspace after two rounds, with lots, sheets, reviews and a merge."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import DEFAULT, load_config
from sparsedet.ledger import Ledger
from sparsedet.loop.merging import Merging
from sparsedet.loop.reviews import Connections
from sparsedet.loop.workspace import Workspace
from tests.cli.command import Result, sparsedet_here
from tests.loop.lot_project import LotProject


def finished_rounds(folder: Path) -> LotProject:
    """Make a project and run two rounds of it, with reviews of the first and a merge."""
    project = LotProject(folder)
    with_model(project, 1, found=5)
    project.review()
    with_model(project, 2, found=8)
    project.review(leave=5)
    project.rounds.refresh()
    large = np.zeros((300, 600, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "large.png"), large)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        connections = Connections(project.workspace.settings(), project.tool)
        Merging(ledger, connections, project.workspace).merge(write=True)
    project.rounds.refresh()
    with project.workspace.lock():
        pass  # as commands do
    return project


def with_model(project: LotProject, number: int, *, found: int) -> None:
    """Run a round, and give it what a real training leaves.

    Args:
        project: of the round.
        number: of the round.
        found: of the missing objects of each image, those that its model finds.
    """
    folder = project.round(number, found=found)
    config = load_config(DEFAULT).prepared(method="plain", seed=1, classes=1)
    write_text(folder.run.config, config.dump())
    with folder.run.model.open("wb") as file:
        torch.save({"model": {"weight": torch.arange(4000.0)}}, file)


@dataclass
class Damaged:
    """A workspace that a test damages."""

    folder: Path

    @property
    def workspace(self) -> Workspace:
        """Its files."""
        return Workspace(self.folder / "work")

    def check(self, *options: str) -> Result:
        """Run `sparsedet check` on it."""
        return sparsedet_here("check", self.workspace.root, *options)

    def findings(self, *options: str) -> dict[str, list[dict[str, Any]]]:
        """Return what a check finds that is wrong, by kind."""
        result = self.check("--json", *options)
        found: dict[str, list[dict[str, Any]]] = {}
        content = result.json()
        for one in content["findings"]:
            if one["severity"] != "info":
                found.setdefault(one["kind"], []).append(one)
        assert result.status == (3 if found else 0), result
        assert content["fine"] == (not found)
        return found

    def sql(self, statement: str, *values: object) -> None:
        """Change the ledger behind its back."""
        with closing(sqlite3.connect(self.workspace.ledger)) as connection:
            connection.execute(statement, values)
            connection.commit()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look into the ledger."""
        with closing(sqlite3.connect(self.workspace.ledger)) as connection:
            return connection.execute(query).fetchall()

    def change(self, path: Path, change: Callable[[Any], Any]) -> None:
        """Replace the content of a JSON file."""
        write_json(path, change(json.loads(path.read_text(encoding="utf-8"))))

    def lost_and_found(self) -> set[str]:
        """Return the files that repairs took out of the way, by their names in the workspace."""
        root = self.workspace.root / "lost+found"
        files = (path for path in root.rglob("*") if path.is_file())
        return {"/".join(path.relative_to(root).parts[1:]) for path in files}


def cut(path: Path, share: float = 0.5) -> None:
    """Leave the first part of a file."""
    data = path.read_bytes()
    unlinked(path).write_bytes(data[: int(len(data) * share)])


def flip(path: Path, share: float = 0.5, count: int = 64) -> None:
    """Change bytes in the middle of a file."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * share)
    data[start : start + count] = bytes(byte ^ 0xFF for byte in data[start : start + count])
    unlinked(path).write_bytes(data)


def unlinked(path: Path) -> Path:
    """Remove a file, which may be a link to an original; return its path."""
    path.unlink()
    return path


def image(damaged: Damaged, number: int = 7) -> Path:
    return damaged.workspace.images / f"{number:02d}.png"
