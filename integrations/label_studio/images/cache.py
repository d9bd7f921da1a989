"""The image cache: which files are intact, and what must be downloaded.

`sparsedet.annotations.image_index` records each file. A pull compares sizes and times, with one
`stat` per file; `refresh` asks the servers for changed content.

If a task's address changes, and the new image has the same name, the old one keeps its file:
reviews of the old one must not be applied to the new one, and are recognised by its content.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sparsedet.annotations import file_digest, upright_size
from sparsedet.annotations.image_index import IndexedImage, index_file, read_index, write_index
from sparsedet.annotations.images import is_cut_off
from sparsedet.errors import AnnotationError

from .addresses import address_digest, cache_name


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image of a task in the cache."""

    name: str
    """Name of its file."""
    size: tuple[int, int]
    """Upright (width, height) in pixels."""


class ImageCache:
    """A folder of images; thread-safe for different files.

    Partial files of an earlier process are removed.

    Args:
        folder: created if missing.
        indexed: whether to keep an index next to it; without one, nothing is known about its files.
    """

    def __init__(self, folder: Path, *, indexed: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._index_file = index_file(folder) if indexed else None
        self._index = read_index(self._index_file) if self._index_file else {}
        self._written = dict(self._index)
        self._there: dict[str, os.stat_result] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                    Path(entry.path).unlink(missing_ok=True)
                elif entry.is_file():
                    self._there[entry.name] = entry.stat()

    def name(self, id: int, address: str) -> str:
        """Return the name of an image's file, existing or not."""
        return _free_name(id, address, self._index, self._there)

    def untouched(self, id: int, address: str) -> CachedImage | None:
        """Return an image, by `Image.id`, if its file is as recorded; None if to be checked."""
        name = self.name(id, address)
        there, known = self._there.get(name), self._index.get(name)
        if there is None or known is None or not known.is_untouched(there):
            return None
        return CachedImage(name, known.size)

    def intact(self, id: int, address: str) -> CachedImage | None:
        """Return an image if its file is intact, reading it if necessary, else None.

        An unindexed file is accepted if there is no evidence against it.
        """
        if found := self.untouched(id, address):
            return found
        name = self.name(id, address)
        there, known = self._there.get(name), self._index.get(name)
        if there is None:
            return None
        if known is not None and not known.has_size_of(there):
            return None
        path = self.folder / name
        try:
            width, height = upright_size(path)
            digest = file_digest(path)
            cut_off = known is None and is_cut_off(path)
        except (AnnotationError, OSError):
            return None
        if cut_off or (known is not None and known.sha256 != digest):
            return None
        found_now = IndexedImage("", there.st_size, there.st_mtime_ns, digest, width, height)
        self._index[name] = (
            found_now if known is None else replace(known, modified_ns=there.st_mtime_ns)
        )
        return CachedImage(name, (width, height))

    def record(
        self,
        id: int,
        address: str,
        digest: str,
        size: tuple[int, int],
        etag: str = "",
        last_modified: str = "",
    ) -> CachedImage:
        """Record that an image was just downloaded, or is known to be unchanged."""
        name = self.name(id, address)
        plain = cache_name(id, address)
        before = self._index.get(plain)
        if name != plain and before is not None and before.sha256 == digest:
            # The same image at another address.
            (self.folder / name).replace(self.folder / plain)
            self._there.pop(name, None)
            name = plain
        there = self._there[name] = (self.folder / name).stat()
        self._index[name] = IndexedImage(
            address_digest(address), there.st_size, there.st_mtime_ns, digest, *size,
            etag, last_modified,
        )  # fmt: skip
        return CachedImage(name, size)

    def known(self, name: str) -> IndexedImage | None:
        """Return the record of a file."""
        return self._index.get(name)

    def save(self) -> None:
        """Write the index if it has changed, without files that no longer exist."""
        self._index = {name: known for name, known in self._index.items() if name in self._there}
        if self._index_file is not None and self._index != self._written:
            write_index(self._index_file, self._index)
            self._written = dict(self._index)


def find_cached(folder: Path, addresses: Mapping[int, str]) -> dict[int, str]:
    """Return the names of images that an indexed cache has, by `Image.id`.

    Args:
        folder: the cache's folder.
        addresses: the images' addresses as stored in the tasks, by `Image.id`.
    """
    index = _read_once(index_file(folder))
    found: dict[int, str] = {}
    for id, address in addresses.items():
        names = (cache_name(id, address, distinct=distinct) for distinct in (False, True))
        there = [name for name in names if (folder / name).is_file()]
        if (name := _free_name(id, address, index, there)) in there:
            found[id] = name
    return found


def _read_once(file: Path) -> Mapping[str, IndexedImage]:
    """Return the content of an index, read again only after it has changed."""
    try:
        now = file.stat()
    except OSError:
        return {}
    return _index_of(file, now.st_mtime_ns, now.st_ino)


@lru_cache(maxsize=1)
def _index_of(file: Path, modified_ns: int, inode: int) -> Mapping[str, IndexedImage]:
    # A large index takes a second to read, and a live backend looks up an image per request.
    return read_index(file)


def _free_name(
    id: int, address: str, index: Mapping[str, IndexedImage], there: Collection[str]
) -> str:
    """Return the name of an image's file: a distinct one if another address has the usual one."""
    plain = cache_name(id, address)
    known = index.get(plain)
    digest = address_digest(address)
    if known is not None and known.address == digest:
        return plain
    distinct = cache_name(id, address, distinct=True)
    taken = known is not None and known.address and plain in there
    return distinct if taken or distinct in there else plain
