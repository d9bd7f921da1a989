"""When reviews were last read, and where each image was up then.

It is a file of its own next to the ledger, which holds what the reviews said: losing it loses
nothing but the answers to these two questions.
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

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class ReadPlace:
    """A place as it was read last."""

    name: tuple[str, str, str, str]
    """See `name_of`."""
    state: str
    """`PushMode.review_state`, as of just before."""
    tasks: Mapping[str, str]
    """`PlaceReviews.tasks`."""


@dataclass(frozen=True, slots=True)
class LastReading:
    """The last time that all places were read."""

    at: datetime
    """UTC."""
    places: tuple[ReadPlace, ...] = ()

    def of(self, place: Place) -> ReadPlace | None:
        """Return what was read at a place; None: nothing."""
        name = name_of(place)
        return next((one for one in self.places if one.name == name), None)


def name_of(place: Place) -> tuple[str, str, str, str]:
    """Return what a place is known by, wherever its server has moved."""
    return place.tool, place.project, place.review_project, place.mode


def reading_file(ledger: Path) -> Path:
    """Return the file next to a ledger."""
    return ledger.with_suffix(".read.json")


def write_reading(ledger: Path, places: Sequence[ReadPlace], at: datetime) -> None:
    """Record that all places were read, atomically.

    Args:
        ledger: the ledger's file.
        places: what was read.
        at: when that began, with time zone.
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
    """Return when reviews were last read into a ledger; None: never, or by an older sparsedet.

    Raises:
        SparseDetError: when the file is broken.
    """
    path = reading_file(ledger)
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        at = datetime.fromisoformat(content["at"])
        if at.tzinfo is None:
            raise ValueError("a time without time zone")
        return LastReading(at.astimezone(UTC), tuple(_place(one) for one in content["places"]))
    except ODD_VALUES as error:
        raise SparseDetError(
            f"{path}: does not say when reviews were read ({error!r}); remove it, `sparsedet "
            "review` makes it again"
        ) from error


def _place(entry: Mapping[str, Any]) -> ReadPlace:
    tool, project, review_project, mode = map(str, entry["place"])
    tasks = {str(image): str(task) for image, task in entry["tasks"].items()}
    return ReadPlace((tool, project, review_project, mode), str(entry["state"]), tasks)


def reviews_as_of(at: datetime, now: datetime) -> str:
    """Return when reviews were read, for people: `reviews as of 10:32, 5 minutes ago`.

    Args:
        at: when, with time zone.
        now: in the time zone of the reader.
    """
    local = at.astimezone(now.tzinfo)
    day = "" if local.date() == now.date() else f"{local.date().isoformat()} "
    return f"reviews as of {day}{local:%H:%M}, {_ago((now - local).total_seconds())}"


def _ago(seconds: float) -> str:
    for length, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"
