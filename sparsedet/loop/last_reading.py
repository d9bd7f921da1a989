"""When reviews were last read, and each image's state at that time.

Kept in a file next to the ledger, which holds the reviews themselves: losing it loses only the
answers to these two questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Place
from sparsedet.reading import ODD_VALUES
from sparsedet.wording import counted

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class ReadPlace:
    """A review place, as last read."""

    name: tuple[str, str, str, str]
    """See `name_of`."""
    state: str
    """`PushMode.review_state` just before reading."""
    tasks: Mapping[str, str]
    """`PlaceReviews.tasks`."""


@dataclass(frozen=True, slots=True)
class LastReading:
    """The last time all places were read."""

    at: datetime
    """UTC."""
    places: tuple[ReadPlace, ...] = ()

    def of(self, place: Place) -> ReadPlace | None:
        """Return what was read at a place; None if nothing."""
        name = name_of(place)
        return next((one for one in self.places if one.name == name), None)


def name_of(place: Place) -> tuple[str, str, str, str]:
    """Return a place's identifier, which doesn't change when its server moves."""
    return place.tool, place.project, place.review_project, place.mode


def reading_file(ledger: Path) -> Path:
    """Return the file next to a ledger."""
    return ledger.with_suffix(".read.json")


def write_reading(ledger: Path, places: Sequence[ReadPlace], at: datetime) -> None:
    """Record that all places were read, atomically.

    Args:
        ledger: the ledger's file.
        places: what was read.
        at: when reading began, with time zone.
    """
    content = {
        "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "places": [
            {"place": list(one.name), "state": one.state, "tasks": dict(one.tasks)}
            for one in places
        ],
    }
    write_json(reading_file(ledger), content, indent=1)


def last_reading(ledger: Path) -> LastReading | None:
    """Return when reviews were last read into a ledger; None: never, or by an older version.

    Raises:
        SparseDetError: when the file is broken.
    """
    path = reading_file(ledger)
    if not path.exists():
        return None
    content = read_json(path)
    try:
        at = datetime.fromisoformat(content["at"])
        if at.tzinfo is None:
            raise ValueError("time without time zone")
        return LastReading(at.astimezone(UTC), tuple(_place(one) for one in content["places"]))
    except ODD_VALUES as error:
        raise SparseDetError(
            f"{path}: invalid time of the last reading ({error!r}); remove it and run "
            "`sparsedet review`"
        ) from error


def _place(entry: Mapping[str, Any]) -> ReadPlace:
    tool, project, review_project, mode = map(str, entry["place"])
    tasks = {str(image): str(task) for image, task in entry["tasks"].items()}
    return ReadPlace((tool, project, review_project, mode), str(entry["state"]), tasks)


def reviews_as_of(at: datetime, now: datetime) -> str:
    """Return when reviews were read, for display: `reviews as of 10:32, 5 minutes ago`.

    Args:
        at: the time, with time zone.
        now: the current time, in the reader's time zone.
    """
    local = at.astimezone(now.tzinfo)
    day = "" if local.date() == now.date() else f"{local.date().isoformat()} "
    return f"reviews as of {day}{local:%H:%M}, {_ago((now - local).total_seconds())}"


def _ago(seconds: float) -> str:
    for length, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= length:
            return f"{counted(int(seconds // length), name)} ago"
    return "just now"
