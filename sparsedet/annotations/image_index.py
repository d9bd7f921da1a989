"""The index of an image cache: what is known of each file, so that one `stat` shows it is whole.

It lies next to the folder, as `images.index.json`. Without it nothing is lost: the files are read
once more.
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
    """A digest of where it came from, never the address itself: that may hold a password. Empty:
    unknown, the file was there before the index."""
    bytes: int
    modified_ns: int
    """When the file was written, by its file system."""
    sha256: str
    width: int
    """Upright, in pixels."""
    height: int
    etag: str = ""
    """What its server calls this content, if anything."""
    last_modified: str = ""
    """When its server says that it changed last."""

    @property
    def size(self) -> tuple[int, int]:
        """Upright (width, height) in pixels."""
        return self.width, self.height

    def has_size_of(self, found: stat_result) -> bool:
        """Return whether a file has the recorded length."""
        return found.st_size == self.bytes

    def is_untouched(self, found: stat_result) -> bool:
        """Return whether nobody has written a file since: same length, same time."""
        return (found.st_size, found.st_mtime_ns) == (self.bytes, self.modified_ns)


def index_file(images: Path) -> Path:
    """Return where the index of an image folder is."""
    return images.with_name(f"{images.name}.index.json")


def read_index(file: Path) -> dict[str, IndexedImage]:
    """Return what is known of the files of a cache, by name; nothing where the index is unusable.

    It heals itself: whatever is not in it is read once more, and recorded.
    """
    try:
        content = read_json(file)
        if content["version"] != _VERSION:
            return {}
        return {str(name): IndexedImage(*_checked(row)) for name, row in content["images"].items()}
    except (SparseDetError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def write_index(file: Path, images: Mapping[str, IndexedImage]) -> None:
    """Write the index of a cache, atomically; 20,000 images take some 50 ms."""
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
    """Return the values of a row; raise `ValueError` where they are of other types."""
    kinds = (str, int, int, str, int, int, str, str)
    if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
        raise ValueError
    return tuple(row)
