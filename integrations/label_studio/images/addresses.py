"""Where the image of a task is, as its data says, and what its file is called in the cache."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sparsedet.errors import ToolError

from ..label_config import LabelConfig

_MAX_NAME_BYTES = 120
_UNSAFE = re.compile(r"[^\w.-]+")


def cache_name(task: int, address: str) -> str:
    """Return the file name of a task's image: `<task id>-<its name>`, safe on any file system.

    The name part is for people; the task id alone makes it unique.
    """
    parts = urlsplit(address)
    # /data/local-files/?d=folder/name.jpg has the path in its query.
    local = parse_qs(parts.query).get("d", [""])[0]
    base = PurePosixPath(unquote(local or parts.path).replace("\\", "/")).name
    safe = _UNSAFE.sub("_", base).strip("._") or "image"
    stem, suffix = Path(safe).stem, Path(safe).suffix
    room = max(_MAX_NAME_BYTES - len(suffix.encode()), 1)
    stem = stem.encode()[:room].decode(errors="ignore")
    return f"{task}-{stem}{suffix.encode()[:_MAX_NAME_BYTES].decode(errors='ignore')}"


def shows_another(file_name: str, task: int, address: object) -> bool:
    """Return whether a task shows another image than it did when `file_name` was pulled from it.

    Servers on SQLite give the id of a deleted task to the next one that is imported. A file that
    was not named by `cache_name` tells nothing.
    """
    name = PurePosixPath(file_name).name
    if not name.startswith(f"{task}-") or not isinstance(address, str):
        return False
    return name != cache_name(task, address)


def image_address(task: Mapping[str, Any], config: LabelConfig) -> str:
    """Return the address of a task's image, as the task holds it.

    Raises:
        ToolError: when it holds none.
    """
    address = task["data"].get(config.data_key)
    if not isinstance(address, str) or not address:
        raise ToolError(
            f"task {task['id']}: its data has no image under {config.data_key!r} (found "
            f"{type(address).__name__}); the labelling config takes the image from there"
        )
    return address


def image_url(server: str, task: int, address: str) -> str:
    """Return the full URL of a task's image.

    Raises:
        ToolError: for cloud storage addresses and other schemes, which only the server resolves.
    """
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"}:
        return address
    if parts.scheme or not parts.path or address.startswith("//"):
        shown = f"{parts.scheme}://..." if parts.scheme else repr(address)
        raise ToolError(
            f"task {task}: can't download the image {shown}; sparsedet takes images that Label "
            "Studio serves itself (uploads, local files) and http(s) links"
        )
    prefix = urlsplit(server).path
    path = "/" + address.lstrip("/")
    # A server below a path (http://host/label-studio) may or may not write that path into tasks.
    if prefix and path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    return server + path


def shown_address(address: str) -> str:
    """Return an address for an error message; the query of a web link may hold a signature."""
    return address.split("?")[0] if urlsplit(address).scheme else address


def is_same_host(url: str, server: str) -> bool:
    """Return whether an address is on the server itself: same scheme, host and port."""
    ours, theirs = urlsplit(server), urlsplit(url)
    return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
