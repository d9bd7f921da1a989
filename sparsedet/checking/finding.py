"""Findings of a check, and where repairs move things."""

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sparsedet.errors import SparseDetError

Severity = Literal["error", "warning", "info"]
"""`error`: something is broken, missing or contradictory; `warning`: harmless, but should be
removed; `info`: nothing is wrong."""


class LostAndFound:
    """Keeps what repairs replace: nothing is deleted.

    Args:
        workspace: the workspace's folder; things go into `lost+found/001`, or the next number.
    """

    NAME = "lost+found"

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._all = workspace / self.NAME
        self._folder: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of this call's things; None: there are none."""
        return self._folder

    def take(self, path: Path) -> Path:
        """Move a file or folder of the workspace here; return its new path."""
        target = self._place(path)
        path.rename(target)
        return target

    def copy(self, path: Path) -> Path:
        """Keep a copy of a file before it is changed."""
        target = self._place(path)
        shutil.copy2(path, target)
        return target

    def _place(self, path: Path) -> Path:
        if self._folder is None:
            numbers = [int(p.name) for p in self._all.glob("*") if p.name.isdigit()]
            self._folder = self._all / f"{max(numbers, default=0) + 1:03d}"
        target = self._folder / path.relative_to(self._workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        while target.exists():
            target = target.with_name(f"{target.name}.again")
        return target


Repair = Callable[[LostAndFound], str]
"""Repairs something; returns a line for the user. Several findings may share a repair, which runs
once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem found by a check."""

    kind: str
    """Machine-readable name, such as `image-missing`."""
    where: str
    """The file, relative to the workspace; or the place on the server."""
    what: str
    """What is wrong, in a few words."""
    command: str = ""
    """The command that resolves it, after any repair; empty: none is needed, or none can."""
    severity: Severity = "error"
    repair: Repair | None = field(default=None, compare=False, repr=False)
    """The repair; None: it needs a person or the server."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "where": self.where,
            "what": self.what,
            "command": self.command,
            "repairable": self.repair is not None,
        }


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that repair a workspace."""

    root: Path

    def __call__(self, name: str, *options: str) -> str:
        """Return a command on the workspace; the current folder is omitted."""
        folder = [] if self.root == Path() else [str(self.root)]
        return shlex.join(["sparsedet", name, *folder, *options])

    @property
    def pull(self) -> str:
        """Pulls annotations, and missing images."""
        return shlex.join(["sparsedet", "pull", "-o", str(self.root)])

    @property
    def push(self) -> str:
        """Pushes boxes mined outside of rounds."""
        return shlex.join(["sparsedet", "push", "MINED", "--data", str(self.root)])


def one_line(error: Exception, about: Path) -> str:
    """Return an error's message without its leading path, which `where` names."""
    text = str(error).removeprefix(f"{about}: ")
    return text if isinstance(error, SparseDetError) else f"{type(error).__name__}: {text}"
