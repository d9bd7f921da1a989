"""A hostile input, and the expected result of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .odd_server import OddServer

Arguments = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input."""

    name: str
    prepare: Callable[[Path, OddServer], Arguments]
    """Writes what the command reads into an empty folder, and says how the server is odd; returns
    the arguments of `sparsedet`, which runs in that folder."""
    says: str
    """What the output must hold; a regular expression."""
    status: int = 1
    """The exit status: 0 where the input is left out and counted."""
