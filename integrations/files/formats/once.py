"""Warnings that are logged once: files are read repeatedly, for splits."""

import logging
from functools import cache

logger = logging.getLogger(__name__)


@cache
def warn_once(message: str) -> None:
    """Log a warning, unless it has been logged before."""
    logger.warning("%s", message)
