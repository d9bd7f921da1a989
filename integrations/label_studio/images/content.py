"""The content of an image file on its way: as it is sent, unpacked, and within limits."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sparsedet.image_options import ImageOptions

from .unreadable import Kind, Unreadable

CHUNK = 1 << 16
"""Bytes that are held at a time."""
_ANY_HEADER = zlib.MAX_WBITS | 32
"""gzip or zlib, as the data says."""


@dataclass(frozen=True, slots=True)
class Content:
    """What an address holds."""

    chunks: Iterator[bytes]
    length: int | None = None
    """Bytes, as the server says; None: unknown."""
    kind: str = ""
    """Media type, as the server says."""
    packed: str = ""
    """`Content-Encoding`: how the chunks are packed."""
    etag: str = ""
    last_modified: str = ""


def unpacked(content: Content, limits: ImageOptions) -> Iterator[bytes]:
    """Yield the bytes of the file itself, as long as they are within the limits.

    Args:
        content: from a server.
        limits: of one image.

    Raises:
        Unreadable: at the first byte too many, of what is sent and of what it unpacks to.
    """
    if content.length is not None and content.length > limits.max_bytes:
        raise Unreadable(Kind.OVER_LIMIT, f"it has {_megabytes(content.length)}, {_limit(limits)}")
    sent = _counted(content.chunks, limits, f"it has {_limit(limits)}")
    packed = content.packed.strip().lower()
    if packed in ("", "identity"):
        yield from sent
    elif packed in ("gzip", "x-gzip", "deflate"):
        yield from _counted(_inflated(sent), limits, f"it unpacks to {_limit(limits)}")
    else:
        raise Unreadable(
            Kind.NO_IMAGE, "its server packs it in a way that sparsedet did not ask for"
        )


def _counted(chunks: Iterable[bytes], limits: ImageOptions, message: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.max_bytes:
            raise Unreadable(Kind.OVER_LIMIT, message)
        yield chunk


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack, never more than a chunk at a time: 1 KB may hold 1 MB."""
    unpack = zlib.decompressobj(_ANY_HEADER)
    try:
        for chunk in chunks:
            while chunk and not unpack.eof:
                yield unpack.decompress(chunk, CHUNK)
                chunk = unpack.unconsumed_tail
        yield unpack.flush(CHUNK)
    except zlib.error:
        raise Unreadable(Kind.NO_IMAGE, "what came can't be unpacked") from None
    if not unpack.eof:
        raise Unreadable(Kind.NO_IMAGE, "what came is cut off")


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _limit(limits: ImageOptions) -> str:
    return f"more than {limits.max_megabytes:g} MB ([images] max_megabytes in sparsedet.toml)"
