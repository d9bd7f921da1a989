"""Images in cloud storages: through Label Studio, or directly with the user's credentials."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import urlencode

from sparsedet.errors import SetupError

from .content import CHUNK, Content
from .unreadable import Kind, Unreadable

STORAGE_SCHEMES = {"s3": "s3", "gs": "gs", "azure-blob": "az", "azure-spi": "az"}
"""Label Studio's address scheme -> fsspec's protocol name."""


def resolve_url(server: str, task: int, address: str) -> str:
    """Return where Label Studio serves an image of a storage connected to a project.

    It sends the image itself, or redirects to a signed link.
    """
    name = base64.urlsafe_b64encode(address.encode(errors="replace")).decode()
    return f"{server}/tasks/{task}/resolve/?{urlencode({'fileuri': name})}"


@contextmanager
def open_in_storage(address: str) -> Iterator[Content]:
    """Open an image with the user's credentials for its storage on this machine.

    Args:
        address: such as s3://bucket/folder/name.jpg.

    Raises:
        Unreadable: if it does not exist or must not be read.
        SetupError: if the storage's library is not installed.
    """
    scheme, _, path = address.partition("://")
    try:
        import fsspec

        # By explicit name: an address must not select or chain other fsspec protocols.
        storage = fsspec.filesystem(STORAGE_SCHEMES[scheme.lower()])
    except ImportError as error:
        raise SetupError(
            f"{error.name or 'a library'} is not installed, which is needed to read {scheme}:// "
            "images directly: pip install 'sparsedet[storage]', or set [images] storage = "
            '"label-studio"'
        ) from None
    # Not around the yield: a full disk must not count as an image that can't be read.
    with _named_errors():
        details = storage.info(path)
        file = storage.open(path, "rb")
    with file:
        yield Content(
            chunks=_chunks(file),
            length=int(details["size"]) if details.get("size") is not None else None,
            etag=_text(details, "ETag", "etag", "md5Hash"),
            last_modified=_text(details, "LastModified", "last_modified", "updated", "created"),
        )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _named_errors():
            chunk = file.read(CHUNK)
        if not chunk:
            return
        yield chunk


@contextmanager
def _named_errors() -> Iterator[None]:
    """Say why an image in a storage is unavailable."""
    try:
        yield
    except FileNotFoundError:
        raise Unreadable(Kind.MISSING, "the storage has no such file") from None
    except PermissionError:
        raise Unreadable(Kind.MISSING, "your credentials don't give access to it") from None
    except Exception as error:
        # Each storage's library has its own errors, whose texts may contain signed links.
        raise Unreadable(
            Kind.MISSING, f"the storage can't be read ({type(error).__name__})"
        ) from None


def _text(details: Any, *keys: str) -> str:
    """Return the first of these keys that the storage's library provides."""
    return next((str(details[key]) for key in keys if details.get(key)), "")
