"""Download files and verify their hashes; cached files are always complete."""

import hashlib
import logging
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx
import torch
from detectron2.utils.file_io import Detectron2Handler, PathManager
from filelock import FileLock
from iopath.common.file_io import get_cache_dir

from sparsedet.atomic_io import atomic_path
from sparsedet.errors import ConfigError, SetupError
from sparsedet.runtime.web_environment import checked_proxies, trusted_certificates

logger = logging.getLogger(__name__)

HASH = "#sha256="
"""Separates a file or URL from its hash digits."""
_HASH_FORM = re.compile(r"[0-9a-f]{8,64}")
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")
_TORCH_HOST = "download.pytorch.org"
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)


def fetch(source: str) -> Path:
    """Return a local file for a URL or path, downloading it if it isn't cached.

    Args:
        source: a path, an http(s) URL, or one known to detectron2 (`detectron2://`); with
            `#sha256=HEX` appended (all digits, or at least the first 8) the hash is verified.

    Raises:
        ConfigError: when it can't be found or downloaded, or its hash differs.
    """
    place, _, digits = source.partition(HASH)
    digits = digits.lower()
    if HASH in source and not _HASH_FORM.fullmatch(digits):
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: expected 8 to 64 hexadecimal digits after {HASH}"
        )
    url = place.replace(Detectron2Handler.PREFIX, Detectron2Handler.S3_DETECTRON2_PREFIX, 1)
    if urlsplit(url).scheme not in ("http", "https"):
        path = _local(source, place)
        if not _has_hash(path, digits):
            raise ConfigError(
                f"MODEL.WEIGHTS {place}: its sha256 is {_sha256(path)}, expected {digits}; "
                "is it the right file, and complete?"
            )
        return path
    path = cache_path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of the processes of a training, one downloads.
        with FileLock(f"{path}.lock"):
            if not path.is_file() or not _has_hash(path, digits):
                _download(url, path, digits)
    except (OSError, httpx.HTTPError, httpx.InvalidURL, SetupError, _NotFetchedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise cant_be_fetched(source, reason, place=(url, path)) from error
    return path


def with_hash_in_name(url: str) -> str:
    """Return a URL with `#sha256=` of the hash digits in its file name, if there are any.

    The sha256 of a file `resnet50-0676ba61.pth` begins with these digits.
    """
    found = _HASH_IN_NAME.search(PurePosixPath(urlsplit(url).path).name)
    return f"{url}#sha256={found[1]}" if found else url


def cache_path(url: str) -> Path:
    """Return the path of a cached download: where torch and detectron2 look for theirs, too."""
    if url.startswith(Detectron2Handler.PREFIX):
        return Path(get_cache_dir()) / "detectron2" / url.removeprefix(Detectron2Handler.PREFIX)
    parts = urlsplit(url)
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    *folders, name = [
        part for part in PurePosixPath(unquote(parts.path)).parts if part not in ("/", "..")
    ] or ["weights"]
    if parts.hostname == _TORCH_HOST:
        return checkpoints / name
    if parts.query:
        # A path may refer to different files under different queries.
        name = f"{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}-{name}"
    return checkpoints.joinpath(parts.netloc.rpartition("@")[2].replace(":", "_"), *folders, name)


def remove_download(source: str) -> None:
    """Remove an invalid download from the cache; local paths stay."""
    place = source.partition(HASH)[0]
    if urlsplit(place).scheme in ("http", "https", "detectron2"):
        cache_path(place).unlink(missing_ok=True)


def has_sha256(path: Path, digits: str) -> bool:
    """Return whether a file's sha256 begins with these digits."""
    return _sha256(path).startswith(digits)


def cant_be_fetched(source: str, reason: str, place: tuple[str, Path] | None = None) -> ConfigError:
    """Return the error for a failed download, with what to do.

    Args:
        source: MODEL.WEIGHTS.
        reason: why it failed.
        place: the URL, and the file to download it to, if known.
    """
    elsewhere = "download it"
    if place is not None:
        elsewhere = f"download {place[0]} on another machine to {place[1]}, or anywhere"
    return ConfigError(
        f"MODEL.WEIGHTS {source}: can't be fetched ({reason}); try again, {elsewhere} and give its "
        'path, or train from random weights with MODEL.WEIGHTS ""'
    )


class _NotFetchedError(Exception):
    """The message says why."""


def _local(source: str, place: str) -> Path:
    try:
        path = Path(PathManager.get_local_path(place))
    except Exception as error:
        # iopath passes on any kind of error.
        raise cant_be_fetched(source, " ".join(str(error).split())) from error
    if not path.is_file():
        raise ConfigError(f"MODEL.WEIGHTS {place}: no such file")
    return path


def _has_hash(path: Path, digits: str) -> bool:
    return not digits or has_sha256(path, digits)


def _download(url: str, target: Path, digits: str) -> None:
    logger.info("downloading %s to %s", url, target)
    # A compressed response would not be the file that is hashed.
    headers = {"Accept-Encoding": "identity"}
    with checked_proxies():
        client = httpx.Client(
            timeout=_TIMEOUT, follow_redirects=True, verify=trusted_certificates()
        )
    with (
        client,
        client.stream("GET", url, headers=headers) as response,
        atomic_path(target) as temporary,
    ):
        if not response.is_success:
            raise _NotFetchedError(f"the server answered with status {response.status_code}")
        with temporary.open("wb") as file:
            # httpx checks that the announced length arrives.
            for chunk in response.iter_bytes():
                file.write(chunk)
        if temporary.stat().st_size == 0:
            raise _NotFetchedError("the server sent an empty file")
        if not digits:
            logger.warning(
                "%s: unknown hash, not verified; this file has %s%s, which can be appended to "
                "MODEL.WEIGHTS",
                *(url, HASH, _sha256(temporary)),
            )
        elif not _has_hash(temporary, digits):
            raise _NotFetchedError(f"its sha256 is {_sha256(temporary)}, expected {digits}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
