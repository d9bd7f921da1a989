"""Image addresses in task data, and file names in the cache.

Task data may contain anything under the image's key: this module raises nothing but `Unreadable`.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from ..labelling_config.label_config import LabelConfig
from ..task_images import TaskImage
from .data_links import is_data_link, suffix_of
from .hosts import is_same_machine
from .storages import STORAGE_SCHEMES, resolve_url
from .unreadable import Kind, Unreadable

_MAX_NAME_BYTES = 120
_UNSAFE = re.compile(r"[^\w.-]+")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+._-]*):")
_IGNORED = str.maketrans("", "", "\t\r\n")
"""Characters that are ignored in web addresses."""
_PORT = re.compile(r"[^:]*(:[0-9]*)?")
_LONGEST_SHOWN = 200
_SIGNATURES = re.compile(
    # Of AWS and Google, versions 4 and 2; CloudFront; Azure.
    r"x-amz-.*|x-goog-.*|signature|expires|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|s[eprktv]|sig|spr|srt|ss|skoid|sktid|skt|ske|sks|skv",
    re.IGNORECASE,
)
"""Query parameters of signatures, which differ at each pull."""


def cache_name(image: int, address: str, *, distinct: bool = False) -> str:
    """Return the file name of a task's image: `<tool id>-<its name>`, safe on any file system.

    The name part is for people; the tool id alone makes it unique. An image embedded in its address
    is named by its content.

    Args:
        image: the image's id, that of the task unless it has several images; see `TaskImage`.
        address: as stored in the task.
        distinct: whether to add a digest of the address, in the form of those that Label Studio
            adds to names of uploads: another image of the task has its name already.
    """
    tool_id = TaskImage.of_id(image).tool_id
    if is_data_link(address):
        return f"{tool_id}-{_digest(address)[:16]}{suffix_of(address)}"
    parts = _split(address)
    # /data/local-files/?d=folder/name.jpg has the path in its query.
    local = parse_qs(parts.query).get("d", [""])[0] if parts.query else ""
    base = unquote(local or parts.path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    safe = _UNSAFE.sub("_", base).strip("._") or "image"
    # Not pathlib, which would dominate the time of a pull without changes.
    stem, dot, ending = safe.rpartition(".") if "." in safe else (safe, "", "")
    suffix = dot + ending
    room = max(_MAX_NAME_BYTES - len(suffix.encode()), 1)
    stem = stem.encode()[:room].decode(errors="ignore")
    prefix = f"{tool_id}-{address_digest(address)[:8]}" if distinct else tool_id
    return f"{prefix}-{stem}{suffix.encode()[:_MAX_NAME_BYTES].decode(errors='ignore')}"


def shows_another(file_name: str, image: int, address: object) -> bool:
    """Return whether a task shows another image than when `file_name` was pulled.

    Servers on SQLite reuse the id of a deleted task for the next import. A file that was not named
    by `cache_name` gives no evidence.
    """
    name = PurePosixPath(file_name).name
    if not name.startswith(f"{TaskImage.of_id(image).tool_id}-") or not isinstance(address, str):
        return False
    return name not in (cache_name(image, address), cache_name(image, address, distinct=True))


def address_digest(address: str) -> str:
    """Return a digest of an address that does not reveal it.

    It does not change if a link is signed again.
    """
    if is_data_link(address):
        return _digest(address)
    parts = _split(address)
    if parts.scheme in {"http", "https"} and parts.query:
        query = [
            (key, value)
            for key, value in parse_qsl(parts.query, keep_blank_values=True)
            if not _SIGNATURES.fullmatch(key)
        ]
        address = parts._replace(query=urlencode(query, errors="surrogatepass")).geturl()
    return _digest(address)


def image_address(task: Mapping[str, Any], config: LabelConfig) -> str:
    """Return the address of a task's image, as stored in the task.

    Raises:
        Unreadable: if it has none.
    """
    data = task.get("data")
    address = config.find_address(data) if isinstance(data, Mapping) else None
    if isinstance(address, str) and address.strip():
        return address
    found = "nothing" if address is None else f"a {_KINDS.get(type(address), 'value')}"
    if isinstance(address, str):
        found = "an empty text"
    raise Unreadable(
        Kind.NO_ADDRESS,
        f"its data has no image under {config.address_name!r} (found {found}), where the "
        "labelling config expects it",
    )


_KINDS = {list: "list", dict: "table", bool: "yes or no", int: "number", float: "number"}


def image_url(server: str, task: int, address: str) -> str:
    """Return the web address of a task's image.

    For an image in a cloud storage, it is Label Studio's own address, which resolves to the image.

    Args:
        server: Label Studio's address.
        task: the task's number.
        address: as stored in the task.

    Raises:
        Unreadable: for other schemes.
    """
    address = address.strip().translate(_IGNORED)
    parts = _split(address)
    if parts.scheme in {"http", "https"}:
        if not is_same_machine(address, server):
            return address
        # The key is for the server under the connection's host name.
        return _own_url(server, parts._replace(scheme="", netloc="", fragment="").geturl())
    if parts.scheme in STORAGE_SCHEMES:
        return resolve_url(server, task, address)
    if parts.scheme or not parts.path or address.startswith("//"):
        raise Unreadable(
            Kind.UNKNOWN_ADDRESS,
            "sparsedet fetches images that Label Studio serves itself (uploads, local files), "
            f"http(s) and data: links, and those in {', '.join(sorted(STORAGE_SCHEMES))} storages",
        )
    return _own_url(server, address)


def shown_address(address: object) -> str:
    """Return an address in a form that is safe to show.

    Logins and queries of links are removed, since they may give access to storage; so is the
    content of `data:` links. Unprintable characters are escaped.
    """
    if not isinstance(address, str):
        return type(address).__name__
    if is_data_link(address):
        return f"{address[: address.find(',')][:40].translate(_IGNORED)},..."
    address = address.strip().translate(_IGNORED)
    parts = _split(address)
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    host, path = parts.netloc.rpartition("@")[2], parts.path
    if "@" in path and re.search(r":[^0-9/]", parts.netloc):
        # A slash in a password ends the host's name too early.
        host, path = "...", f"/{path.rpartition('@')[2].rpartition('/')[2]}"
    elif not _PORT.fullmatch(host.rpartition("]")[2]):
        host = "..."
    if address[len(scheme) :].startswith("//"):
        scheme += "//"
    # The query of Label Studio's local files is the path.
    local = f"?{parts.query}" if not scheme and parts.query.startswith("d=") else ""
    shown = f"{scheme}{host}{path}{local}"
    more = "..." if len(shown) > _LONGEST_SHOWN else ""
    shown = shown[:_LONGEST_SHOWN]
    return "".join(c if c.isprintable() else quote(c, errors="surrogatepass") for c in shown) + more


def _own_url(server: str, path: str) -> str:
    prefix = _split(server).path
    path = "/" + path.lstrip("/")
    # A server under a path (http://host/label-studio) may or may not write that path into tasks.
    if prefix and path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    return server + path


def _split(address: str) -> SplitResult:
    """Split an address like `urlsplit`, but also an invalid one such as `http://[::1`."""
    try:
        parts = urlsplit(address)
        # Schemes of storages contain characters that those of the web don't.
        if parts.scheme or not (scheme := _SCHEME.match(address)):
            return parts
        if address[scheme.end() :].startswith("//"):
            return urlsplit(address[scheme.end() :])._replace(scheme=scheme[1].lower())
        return parts
    except ValueError:
        scheme = _SCHEME.match(address)
        rest = address[scheme.end() :] if scheme else address
        rest = re.split(r"[?#]", rest, maxsplit=1)[0].lstrip("/")
        host, slash, path = rest.partition("/")
        return SplitResult(scheme[1].lower() if scheme else "", host, slash + path, "", "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
