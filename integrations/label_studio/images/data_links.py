"""Images embedded in their address: `data:image/png;base64,iVBOR...`."""

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from .content import CHUNK, Content
from .unreadable import Kind, Unreadable

_HEAD = re.compile(r"\s*data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_SUFFIXES = {
    "image/avif": ".avif",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "image/webp": ".webp",
}
"""Python's own list depends on the machine, but file names must not."""


def is_data_link(address: str) -> bool:
    """Return whether an address embeds its content."""
    return address.lstrip()[:5].lower() == "data:"


def suffix_of(address: str) -> str:
    """Return the suffix for the link's media type, such as `.png`; empty if unknown."""
    head = _HEAD.match(address)
    return _SUFFIXES.get(head[1].strip().lower(), "") if head else ""


def open_data_link(address: str) -> Content:
    """Return the content of a link.

    Raises:
        Unreadable: if it is malformed.
    """
    head = _HEAD.match(address)
    if head is None:
        raise Unreadable(Kind.UNKNOWN_ADDRESS, "the data: link has no comma before its content")
    kind, text = head[1].strip()[:40], address[head.end() :]
    if not head[2].lower().endswith(";base64"):
        return Content(iter([unquote_to_bytes(text)]), kind=kind)
    if "%" in text:
        text = unquote_to_bytes(text).decode("latin-1")
    text = "".join(text.split())
    return Content(_decoded(text), length=len(text) * 3 // 4, kind=kind)


def _decoded(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), CHUNK):  # a multiple of 4: chunks decode separately
        try:
            yield base64.b64decode(text[start : start + CHUNK], validate=True)
        except (binascii.Error, ValueError):
            raise Unreadable(Kind.NO_IMAGE, "its data: link is not valid base64") from None
