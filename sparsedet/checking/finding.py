"""What a check finds, and where things go that a repair takes out of the way."""

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sparsedet.errors import SparseDetError

Severity = Literal["error", "warning", "info"]
"""`error`: something is broken, missing or contradictory; `warning`: it does no harm, and should
go; `info`: worth knowing, and nothing wrong."""


class LostAndFound:
    """Keeps what repairs take out of the way: nothing is deleted.

    Args:
        workspace: the workspace's folder; the things go into `lost+found/001`, or the next number.
    """

    NAME = "lost+found"

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._all = workspace / self.NAME
        self._folder: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where this call's things are; None: there are none."""
        return self._folder

    def take(self, path: Path) -> Path:
        """Move a file or folder of the workspace here; return where it is now."""
        target = self._place(path)
        path.rename(target)
        return target

    def copy(self, path: Path) -> Path:
        """Keep a copy of a file that is about to be changed."""
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
"""Puts something right; returns what it did, for people. The same repair may stand at several
findings, and runs once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: str
    """Its name for machines, such as `image-missing`."""
    where: str
    """The file, below the workspace; or the place on the server."""
    what: str
    """What is wrong, for people, in a few words."""
    command: str = ""
    """What to type to put it right, once it is repaired as far as that goes; empty: no command
    can, or none has to."""
    severity: Severity = "error"
    repair: Repair | None = field(default=None, compare=False, repr=False)
    """What can be done about it here; None: nothing, without a person or the server."""

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
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
    """The commands that put a workspace right."""

    root: Path

    def __call__(self, name: str, *options: str) -> str:
        """Return a command on the workspace; the current folder needs no name."""
        folder = [] if self.root == Path() else [str(self.root)]
        return shlex.join(["sparsedet", name, *folder, *options])

    @property
    def pull(self) -> str:
        """Pulls annotations, and the images that are not there."""
        return shlex.join(["sparsedet", "pull", "-o", str(self.root)])

    @property
    def push(self) -> str:
        """Pushes what somebody mined outside of rounds."""
        return shlex.join(["sparsedet", "push", "MINED", "--data", str(self.root)])


def one_line(error: Exception, about: Path) -> str:
    """Return an error's message without the path that it begins with, which `where` says."""
    text = str(error).removeprefix(f"{about}: ")
    return text if isinstance(error, SparseDetError) else f"{type(error).__name__}: {text}"
