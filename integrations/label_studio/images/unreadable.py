"""Why the image of a task is unavailable."""

from enum import StrEnum


class Kind(StrEnum):
    """Kind of fault of tasks that are left out, as a clause after their count."""

    NO_ADDRESS = "whose data names no image"
    UNKNOWN_ADDRESS = "whose image has an address that can't be fetched"
    MISSING = "whose image is not at its address"
    FAILED = "whose image could not be downloaded this time"
    NOT_ALLOWED = "whose image is on a host that is not allowed"
    NOT_CONNECTED = "whose image's host can't be reached"
    NO_IMAGE = "whose image is unreadable"
    OVER_LIMIT = "whose image is over a limit of [images]"


class Unreadable(Exception):
    """A task's image is unavailable.

    Args:
        kind: groups tasks in counts.
        reason: reason for this image, to follow "its image ADDRESS is missing: ".
        passing: whether another request may succeed soon.
    """

    def __init__(self, kind: Kind, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.passing = passing
