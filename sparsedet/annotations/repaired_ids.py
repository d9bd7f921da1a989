"""Ids of a faulty COCO file: compared, and made unique."""

from typing import Any

from sparsedet.annotations.entries import is_int

_LARGEST = 2**62
"""Larger ids are replaced: there would be none left to give."""


class Numbers:
    """Gives every entry an id of its own: the original one if possible."""

    def __init__(self, written: Any) -> None:
        known = [key for value in written if is_int(key := id_key(value)) and key < _LARGEST]
        self._next = max((*known, 0)) + 1
        self._taken: set[int] = set()

    def of(self, written: Any) -> tuple[int, bool]:
        """Return an entry's id, and whether it differs from the original."""
        key = id_key(written)
        if is_int(key) and key not in self._taken and key < _LARGEST:
            self._taken.add(key)
            return key, not is_int(written)
        number = self._next
        self._next += 1
        self._taken.add(number)
        return number, True


def id_key(written: Any) -> Any:
    """Return an id for comparison: 7, 7.0 and "7" are equal."""
    if isinstance(written, bool):
        return None
    if isinstance(written, str):
        text = written.strip()
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 19 else text or None
    if isinstance(written, float) and written.is_integer() and abs(written) < 2**53:
        return int(written)
    return written if isinstance(written, int | float) else None
