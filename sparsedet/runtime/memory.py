"""The memory of this machine, or of the container: all of it, and what is free."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_FILE_CACHES = ("active_file", "inactive_file")
"""Entries of `memory.stat` that the system gives back when programs need memory."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Files of a control group, which limits a container."""

    folder: Path
    limit_name: str
    usage_name: str

    def limit(self) -> int:
        """Return its limit in bytes.

        Raises:
            ValueError: when it is `max`: unlimited.
        """
        return int((self.folder / self.limit_name).read_text())

    def used(self) -> int:
        """Return the bytes in use, apart from caches of files."""
        lines = (self.folder / "memory.stat").read_text().splitlines()
        amounts = {name: int(amount) for name, amount in map(str.split, lines)}
        # In the first version, names without total_ leave out the groups within.
        cached = sum(amounts.get(f"total_{name}", amounts.get(name, 0)) for name in _FILE_CACHES)
        return int((self.folder / self.usage_name).read_text()) - cached


_GROUPS = (
    _Group(Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    _Group(Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""By version of control groups, newest first."""


def usable_memory() -> int:
    """Return the memory of this machine, or of the container, in bytes."""
    memory: int = psutil.virtual_memory().total
    return min([memory, *(limit for _, limit in _limits())])


def free_memory() -> int:
    """Return the memory that is free on this machine, or in the container, in bytes."""
    free: int = psutil.virtual_memory().available
    for group, limit in _limits():
        with suppress(OSError, ValueError):
            free = min(free, max(0, limit - group.used()))
    return free


def _limits() -> Iterator[tuple[_Group, int]]:
    """Yield the control groups that limit memory, with their limits."""
    for group in _GROUPS:
        with suppress(OSError, ValueError):
            yield group, group.limit()
