"""Which images of two files are the same, by their names.

Tools put images into folders of their own, and number them: `images/0001.jpg` and `12-0001.jpg` are
both `0001.jpg`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_NUMBERED = re.compile(r"^[0-9]+-(?:[0-9a-f]{8}-)?(?=.)")
"""What `sparsedet pull` puts before a name (the task) and Label Studio does with uploads."""


def same_images(names: Sequence[str], others: Sequence[str]) -> list[int | None]:
    """Return for every name the row of the same image in `others`; None where there is none.

    Images are the same by their full names, else by the last part, else by the last part less the
    number that a pull puts before it on one of the two sides. What decides has to be unique on both
    sides; no two names get the same row.
    """
    rows = {name: row for row, name in enumerate(others)}
    found = [rows.get(name) for name in names]
    if None not in found:
        return found
    ours, theirs = [_last_part(name) for name in names], [_last_part(name) for name in others]
    bare = [_NUMBERED.sub("", name) for name in ours]
    for keys, other_keys in (
        (ours, theirs),
        (bare, theirs),
        (ours, [_NUMBERED.sub("", name) for name in theirs]),
    ):
        _fill(found, keys, other_keys)
    return found


def _fill(found: list[int | None], keys: Sequence[str], others: Sequence[str]) -> None:
    """Give names without a row the free one with the same key."""
    waiting = [row for row, other in enumerate(found) if other is None]
    taken = {other for other in found if other is not None}
    repeated, repeated_there = _repeated(keys), _repeated(others)
    rows = {key: row for row, key in enumerate(others) if key not in repeated_there}
    for row in waiting:
        other = None if keys[row] in repeated else rows.get(keys[row])
        if other is not None and other not in taken:
            found[row] = other


def _repeated(keys: Sequence[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}


def _last_part(name: str) -> str:
    return PurePosixPath(name).name
