"""Pauses that busy servers ask for: `Retry-After`, in seconds or as a date."""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 60.0
"""Seconds that a request waits at most; if the server asks for more, it fails."""
_MOST_DIGITS = 9


def is_busy(status: int) -> bool:
    """Whether the SDK may retry a request with this status, after the pause that it asks for."""
    return status in (408, 409, 429) or status >= 500


def asked_pause(headers: Mapping[str, str]) -> float:
    """Return the seconds after which a server wants to be asked again; 0 if it does not say."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:_MOST_DIGITS])
    try:
        date = parsedate_to_datetime(asked)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - time.time())
