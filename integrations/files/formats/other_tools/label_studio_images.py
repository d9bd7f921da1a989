"""Which image a task of a Label Studio export shows, and the names that its file may have."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sparsedet.annotations.image_names import IMAGE_SUFFIXES, without_upload_hash

_LOCAL_FILES = "/data/local-files"
"""Address of files that Label Studio serves itself; `d` is their path."""
_IMAGE_KEYS = ("image", "img", "url", "image_url", "file_name", "filename")


def image_names(data: Mapping[str, Any]) -> list[str]:
    """Return candidate names of a task's image, the likeliest first."""
    keys = image_keys(data)
    if not keys:
        return []
    address = data[keys[0]].strip().replace("\\", "/")
    # Escaped in a query, they are only known now.
    path = _path(address).replace("\\", "/").lstrip("/")
    last = PurePosixPath(path).name
    # A server's own folders are meaningless; those of a storage may match those of the images.
    names = [last] if address.startswith("/data/upload/") else [path, last]
    return [name for name in dict.fromkeys((*names, without_upload_hash(last))) if name]


def image_keys(data: Mapping[str, Any]) -> list[str]:
    """Return the keys of a task's different images, first that of the one to read."""
    named = [key for key in _IMAGE_KEYS if _is_text(data.get(key))]
    shown = [key for key, value in data.items() if _is_text(value) and _is_image(value)]
    keys = dict.fromkeys((*named[:1], *shown))
    # The name of an image may also be given on its own.
    by_name = {without_upload_hash(PurePosixPath(_path(data[k])).name): k for k in reversed(keys)}
    return [key for key in keys if key in by_name.values()]


def _path(address: str) -> str:
    """Return the path of an address; a plain name, which may contain `?#%`, is not changed."""
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get("d")
        if local and _LOCAL_FILES in parts.path:
            return local[0]
    except ValueError:  # brackets without an IPv6 address
        return address
    if "://" in address and parts.scheme not in ("http", "https"):
        # The key of a file in a storage, as it is; it may be quoted nevertheless.
        return address.partition("://")[2].partition("/")[2]
    return unquote(parts.path) if parts.scheme or address.startswith("/data/") else address


def _is_image(text: str) -> bool:
    return PurePosixPath(_path(text)).suffix.lower() in IMAGE_SUFFIXES


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value
