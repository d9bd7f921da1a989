"""Paths into a task's data, as in labelling configs: `$image`, `$page.scans[0]`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\$([\w.\[\]]+)")
"""Variables, as the editor matches them."""
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class DataPath:
    """A `value` of a labelling config: a path into the data, or a text that contains paths."""

    text: str

    @property
    def key(self) -> str | None:
        """The key of the data, if the path is a single key."""
        found = _VARIABLE.fullmatch(self.text)
        return found[1] if found and _STEP.fullmatch(found[1]) else None

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the data that it reads."""
        return frozenset(_STEP.findall(name)[0] for name in self._names if _STEP.search(name))

    @property
    def is_constant(self) -> bool:
        """Whether it has the same value for every task."""
        return not self.keys

    def find(self, data: Mapping[str, Any]) -> Any:
        """Return the value in a task's data, or None."""
        whole = _VARIABLE.fullmatch(self.text)
        if whole:
            return _look_up(data, whole[1])
        found = {name: _look_up(data, name) for name in self._names}
        if any(not isinstance(part, str | int | float) for part in found.values()):
            return None
        return _VARIABLE.sub(lambda match: str(found[match[1]]), self.text)

    @property
    def _names(self) -> list[str]:
        return _VARIABLE.findall(self.text)


def _look_up(data: Any, name: str) -> Any:
    """Follow keys and numbers, as in `page.scans[0]`."""
    if isinstance(data, Mapping) and name in data:
        return data[name]
    for step in _STEP.findall(name):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, Sequence) and not isinstance(data, str) and step.isdecimal():
            data = data[int(step)] if len(step) < 10 and int(step) < len(data) else None
        else:
            return None
    return data
