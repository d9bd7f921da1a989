"""Image files that fail to decode: skipped and listed up to a limit, then an error."""

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sparsedet.errors import AnnotationError

logger = logging.getLogger(__name__)

OnUnreadable = Callable[[Path, str], None]
"""Called as `on_unreadable(path, reason)`; the reason names the path, too."""

_SHOWN = 3


# Every stage and mining of a run hits the same files again: warn once for each.
@cache
def warn_unreadable(path: Path, reason: str) -> None:
    """Log a warning about a skipped image, once per file and reason."""
    logger.warning("%s; the image is skipped", reason)


class UnreadableImages:
    """The skipped files of a set of images."""

    def __init__(
        self,
        limit: int | None,
        total: int,
        on_unreadable: OnUnreadable = lambda path, reason: None,
    ) -> None:
        """Start empty.

        Args:
            limit: maximum number of skipped files (DATALOADER.MAX_UNREADABLE); None: all but one.
            total: number of images in the set, of which one has to remain.
            on_unreadable: called once per file.
        """
        self.limit = limit
        self.total = total
        self.on_unreadable = on_unreadable
        self.reasons: dict[Path, str] = {}
        """Why they can't be decoded, by file."""

    def skip(self, path: Path, reason: str) -> None:
        """Record a file that can't be decoded; does nothing if it is recorded already.

        Raises:
            AnnotationError: naming the first files, when the limit is exceeded, or no image is
                left.
        """
        if path in self.reasons:
            return
        self.reasons[path] = reason
        count = len(self.reasons)
        if count == self.total or (self.limit is not None and count > self.limit):
            shown = "; ".join(list(self.reasons.values())[:_SHOWN])
            if self.total == 1:
                raise AnnotationError(shown)
            more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
            if self.limit is None:
                raise AnnotationError(
                    f"{count} of {self.total} images can't be read: {shown}{more}; repair them"
                )
            which = "this file, or remove it" if count == 1 else "these files, or remove them"
            raise AnnotationError(
                f"{count} of {self.total} images can't be read, but the configuration key "
                f"DATALOADER.MAX_UNREADABLE allows {min(self.limit, self.total - 1)}: "
                f"{shown}{more}; repair {which} from the data"
            )
        self.on_unreadable(path, reason)
