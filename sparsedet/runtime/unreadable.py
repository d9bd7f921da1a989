"""Image files that break when they are decoded: skipped and listed up to a bound, then an error."""

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sparsedet.errors import AnnotationError

logger = logging.getLogger(__name__)

OnUnreadable = Callable[[Path, str], None]
"""Called as `on_unreadable(path, reason)`; the reason names the path, too."""

_SHOWN = 3


# Every stage and every mining of a run meets the same files again: one warning each.
@cache
def warn_unreadable(path: Path, reason: str) -> None:
    """Log a warning about an image that is skipped, once for every file and reason."""
    logger.warning("%s; the image is skipped", reason)


class UnreadableImages:
    """The files of a set of images that were skipped."""

    def __init__(
        self,
        limit: int,
        total: int,
        on_unreadable: OnUnreadable = lambda path, reason: None,
    ) -> None:
        """Begin with none.

        Args:
            limit: as many may be skipped (DATALOADER.MAX_UNREADABLE).
            total: images of the set, of which one has to be left.
            on_unreadable: called once for every file.
        """
        self.limit = limit
        self.total = total
        self.on_unreadable = on_unreadable
        self.reasons: dict[Path, str] = {}
        """Why they can't be decoded."""

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that can't be decoded; nothing changes where it is known already.

        Raises:
            AnnotationError: naming the first files, when there are more of them than the limit, or
                no image is left.
        """
        if path in self.reasons:
            return
        self.reasons[path] = reason
        count = len(self.reasons)
        if count > self.limit or count == self.total:
            shown = "; ".join(list(self.reasons.values())[:_SHOWN])
            more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
            raise AnnotationError(
                f"{count} of {self.total} images can't be read, configuration key "
                f"DATALOADER.MAX_UNREADABLE allows {min(self.limit, self.total - 1)}: "
                f"{shown}{more}; repair these files, or remove them from the data"
            )
        self.on_unreadable(path, reason)
