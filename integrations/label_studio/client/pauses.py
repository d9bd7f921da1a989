"""Pauses that busy servers ask for: `Retry-After`, in seconds or as a date, or a limit's end."""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

LONGEST_PAUSE = 60.0
"""Seconds that a request waits at most; if the server asks for more, it fails."""
RATE_LIMIT_END = "X-RateLimit-Reset"
"""Header with the time at which a limit of requests ends, in seconds since 1970."""
_MOST_DIGITS = 9
_MOST_DIGITS_OF_TIMES = 11


def is_busy(status: int) -> bool:
    """Whether the SDK may retry a request with this status, after the pause that it asks for."""
    return status in (408, 409, 429) or status >= 500


def asked_pause(response: httpx.Response) -> float:
    """Return the seconds after which a server wants to be asked again; 0 if it does not say."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:_MOST_DIGITS])
    try:
        date = parsedate_to_datetime(asked)
    except (ValueError, TypeError, OverflowError):
        limited = response.status_code == httpx.codes.TOO_MANY_REQUESTS
        return _until_limit_ends(response.headers) if limited else 0.0
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - time.time())


def _until_limit_ends(headers: Mapping[str, str]) -> float:
    end = headers.get(RATE_LIMIT_END, "").strip()
    if not (end.isascii() and end.isdigit()):
        return 0.0
    return max(0.0, float(end[:_MOST_DIGITS_OF_TIMES]) - time.time())
