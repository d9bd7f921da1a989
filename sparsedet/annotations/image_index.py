"""The index of an image cache: metadata per file, so that one `stat` shows it is unchanged.

Stored next to the folder, as `images.index.json`. Losing it loses nothing: the files are read
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Any

from sparsedet.atomic_io import read_json, write_bytes
from sparsedet.errors import SparseDetError

_VERSION = 1


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """A file of the cache, as it was when it was fetched or last read."""

    address: str
    """Digest of its source address; the address itself may contain a password. Empty: unknown, the
    file is older than the index."""
    bytes: int
    modified_ns: int
    """Modification time by the file system."""
    sha256: str
    width: int
    """Upright width in pixels."""
    height: int
    etag: str = ""
    """The server's ETag, if any."""
    last_modified: str = ""
    """The server's last-modified time."""

    @property
    def size(self) -> tuple[int, int]:
        """Upright (width, height) in pixels."""
        return self.width, self.height

    def has_size_of(self, found: stat_result) -> bool:
        """Return whether a file has the recorded length."""
        return found.st_size == self.bytes

    def is_untouched(self, found: stat_result) -> bool:
        """Return whether a file is unchanged: same length, same time."""
        return (found.st_size, found.st_mtime_ns) == (self.bytes, self.modified_ns)


def index_file(images: Path) -> Path:
    """Return the path of an image folder's index."""
    return images.with_name(f"{images.name}.index.json")


def read_index(file: Path) -> dict[str, IndexedImage]:
    """Return the metadata of a cache's files, by name; empty if the index is unusable.

    It heals itself: missing files are read again and recorded.
    """
    try:
        content = read_json(file)
        if content["version"] != _VERSION:
            return {}
        return {str(name): IndexedImage(*_checked(row)) for name, row in content["images"].items()}
    except (SparseDetError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def write_index(file: Path, images: Mapping[str, IndexedImage]) -> None:
    """Write the index of a cache, atomically; 20,000 images take about 50 ms."""
    import orjson

    rows = {
        name: (
            image.address,
            image.bytes,
            image.modified_ns,
            image.sha256,
            image.width,
            image.height,
            image.etag,
            image.last_modified,
        )
        for name, image in sorted(images.items())
    }
    write_bytes(file, orjson.dumps({"version": _VERSION, "images": rows}) + b"\n")


def _checked(row: Any) -> tuple[Any, ...]:
    """Return the values of a row; raise `ValueError` for wrong types."""
    kinds = (str, int, int, str, int, int, str, str)
    if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
        raise ValueError
    return tuple(row)
