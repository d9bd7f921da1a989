"""Why the image of a task can't be had."""

from enum import StrEnum


class Kind(StrEnum):
    """What tasks that are left out have in common, as a clause after their number."""

    NO_ADDRESS = "whose data names no image"
    UNKNOWN_ADDRESS = "whose image has an address that can't be fetched"
    MISSING = "whose image is not where its address says"
    NOT_ALLOWED = "whose image is on a host that may not be asked"
    NOT_CONNECTED = "whose image's host can't be reached"
    NO_IMAGE = "whose image is no readable picture"
    OVER_LIMIT = "whose image is over a limit of [images]"


class Unreadable(Exception):
    """A task's image can't be had; the others may be.

    Args:
        kind: groups tasks in counts.
        reason: of this image; it reads on after "its image ADDRESS is missing: ".
    """

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
