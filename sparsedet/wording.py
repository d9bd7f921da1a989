"""Numbers of things, times, lists and alternatives in messages."""

from collections.abc import Iterable

_MINUTE, _HOUR = 60, 3600


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number of things in words: `1 box`, `0 boxes`, `3 boxes`.

    Args:
        number: how many there are.
        one: the noun for one of them; a verb may follow it, as in `box is`.
        several: the same for any other number; by default the regular plural of a noun.
    """
    if number == 1:
        return f"1 {one}"
    regular = one + ("es" if one.endswith(("s", "x", "ch", "sh")) else "s")
    return f"{number} {several or regular}"


def roughly(seconds: float) -> str:
    """Return a rounded time: `40 s`, `25 min`, `3 h 20 min`."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / _MINUTE)
    if seconds < 1.5 * _HOUR:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def one_of(names: Iterable[str]) -> str:
    """Return alternatives in words: `auto, cpu or cuda`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def first_of(names: Iterable[object], most: int = 5) -> str:
    """Return a list in words, with at most this many names: `a, b, c, d, e and 12 more`."""
    texts = list(map(str, names))
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
