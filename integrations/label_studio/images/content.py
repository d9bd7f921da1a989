"""The content of an image file during download: decompressed, and within limits."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sparsedet.image_options import ImageOptions

from .unreadable import Kind, Unreadable

CHUNK = 1 << 16
"""Bytes held in memory at a time."""
_ANY_HEADER = zlib.MAX_WBITS | 32
"""Detects gzip or zlib from the data."""


@dataclass(frozen=True, slots=True)
class Content:
    """Content at an address."""

    chunks: Iterator[bytes]
    length: int | None = None
    """Length in bytes according to the server; None if unknown."""
    kind: str = ""
    """Media type according to the server."""
    packed: str = ""
    """`Content-Encoding` of the chunks."""
    etag: str = ""
    last_modified: str = ""


def unpacked(content: Content, limits: ImageOptions) -> Iterator[bytes]:
    """Yield the decompressed bytes of the file, up to the limits.

    Args:
        content: from a server.
        limits: limits of an image.

    Raises:
        Unreadable: at the first excess byte, compressed or decompressed.
    """
    if content.length is not None and content.length > limits.max_bytes:
        raise Unreadable(Kind.OVER_LIMIT, f"it has {_megabytes(content.length)}, {_limit(limits)}")
    sent = _counted(content.chunks, limits, f"it has {_limit(limits)}")
    packed = content.packed.strip().lower()
    if packed in ("", "identity"):
        yield from sent
    elif packed in ("gzip", "x-gzip", "deflate"):
        yield from _counted(_inflated(sent), limits, f"it decompresses to {_limit(limits)}")
    else:
        raise Unreadable(Kind.NO_IMAGE, "its server compresses it in a way that was not requested")


def _counted(chunks: Iterable[bytes], limits: ImageOptions, message: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.max_bytes:
            raise Unreadable(Kind.OVER_LIMIT, message)
        yield chunk


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress at most a chunk at a time: 1 KB may expand to 1 MB."""
    unpack = zlib.decompressobj(_ANY_HEADER)
    try:
        for chunk in chunks:
            while chunk and not unpack.eof:
                yield unpack.decompress(chunk, CHUNK)
                chunk = unpack.unconsumed_tail
        yield unpack.flush(CHUNK)
    except zlib.error:
        raise Unreadable(Kind.NO_IMAGE, "the response can't be decompressed") from None
    if not unpack.eof:
        raise Unreadable(Kind.NO_IMAGE, "the response is truncated")


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _limit(limits: ImageOptions) -> str:
    return f"more than {limits.max_megabytes:g} MB ([images] max_megabytes in sparsedet.toml)"
