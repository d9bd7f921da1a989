"""Lists that the server only serves by page number, read completely while others change them."""

from collections.abc import Mapping
from typing import Any

from .answers import check_page, identifier, number, objects_of
from .connection import Connection
from .request_errors import RequestFailedError, RequestRefusedError

_ATTEMPTS = 5


def read_pages(
    connection: Connection,
    path: str,
    params: Mapping[str, Any],
    what: str,
    *,
    entries: str,
    total: str,
    page_size: int,
) -> list[dict[str, Any]]:
    """Return all entries of a list.

    An entry that is deleted between two pages shifts the others, so that one would be skipped, and
    seem not to exist. The list is then read again from the start.

    Args:
        connection: to the server.
        path: of the list.
        params: query parameters.
        what: names the request in errors.
        entries: key of a page's entries, which have ids.
        total: key of the number of entries on all pages.
        page_size: entries per page.

    Raises:
        RequestFailedError: if it changes every time.
    """
    for _ in range(_ATTEMPTS):
        found: dict[int, dict[str, Any]] = {}
        page, seen, begun = 0, 0, None
        while begun is None or seen < begun:
            page += 1
            try:
                answer = connection.get_object(
                    path, {**params, "page": page, "page_size": page_size}, what
                )
            except RequestRefusedError as error:
                if page > 1 and error.is_not_found:
                    break  # the list has become shorter
                raise
            some, now = objects_of(answer, entries, what), number(answer, total, what)
            check_page(some, now, (page - 1) * page_size, what)
            ids = [identifier(entry, what) for entry in some]
            begun = now if begun is None else begun
            if now != begun or not some or not found.keys().isdisjoint(ids):
                break
            found |= zip(ids, some, strict=True)
            seen += len(some)
        if seen == begun:
            return list(found.values())
    raise RequestFailedError(f"the list changes while it is read ({what}); repeat the command")
