"""Errors of failed requests."""

from collections.abc import Mapping
from typing import Any

import httpx

from sparsedet.errors import ToolError

_OF_ONE_OBJECT = frozenset(
    {
        httpx.codes.BAD_REQUEST,
        httpx.codes.NOT_FOUND,
        httpx.codes.CONFLICT,
        httpx.codes.GONE,
        httpx.codes.UNPROCESSABLE_ENTITY,
        httpx.codes.LOCKED,
        httpx.codes.INTERNAL_SERVER_ERROR,  # a bug that some content triggers
    }
)


class RequestFailedError(ToolError):
    """A request had no usable answer; unlike other errors, it says nothing about the project."""

    @property
    def is_of_one_object(self) -> bool:
        """Whether it concerns the object of the request, so that others may be fine."""
        return False


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

    @property
    def is_of_one_object(self) -> bool:
        """Whether Label Studio itself refuses this object."""
        return self.status in _OF_ONE_OBJECT and isinstance(self.body, Mapping)
