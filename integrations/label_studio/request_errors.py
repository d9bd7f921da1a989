"""Errors of failed requests."""

from collections.abc import Mapping
from typing import Any

import httpx

from sparsedet.errors import ToolError


class RequestFailedError(ToolError):
    """A request had no usable answer; unlike other errors, it says nothing about the project."""


class RequestRefusedError(RequestFailedError):
    """The server answered a request with an error."""

    def __init__(self, message: str, status: int | None, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body

    @property
    def is_not_found(self) -> bool:
        """Whether Label Studio itself says that there is no such object, not a proxy."""
        return self.status == httpx.codes.NOT_FOUND and isinstance(self.body, Mapping)
