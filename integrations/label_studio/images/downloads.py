"""Images of tasks, brought into a folder by a bounded pool; each file is whole or absent."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sparsedet.annotations import upright_size
from sparsedet.annotations.image_index import IndexedImage
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError, ToolError, TooManyPixelsError
from sparsedet.image_options import ImageOptions
from sparsedet.push_modes import Progress, no_progress

from ..connection import Connection
from ..task_images import TaskImage
from .addresses import address_digest, cache_name, image_url, shown_address
from .cache import CachedImage, ImageCache
from .content import Content, unpacked
from .data_links import is_data_link, open_data_link
from .storages import STORAGE_SCHEMES, open_in_storage
from .unreadable import Kind, Unreadable
from .web import ServerGoneError, WebImages

THREADS = 6
"""Small files are bound by the round trip; one by one a local server gives about 32 per second."""

_WHAT = "downloading images"
_GIVE_UP_AFTER = 20
"""Failures that a pull that can't succeed any more waits for, to count them."""


@dataclass
class Downloads:
    """What became of the images of tasks, by `Image.id`; see `TaskImage`."""

    images: dict[int, CachedImage] = field(default_factory=dict)
    failures: dict[int, Unreadable] = field(default_factory=dict)
    """Why the others can't be had; its text is a clause that follows "task N: "."""
    kept: dict[int, Unreadable] = field(default_factory=dict)
    """Of a refresh: why an image is the one of before."""
    changed: list[int] = field(default_factory=list)
    """Of a refresh: whose image is another one now."""


def bring_images(
    connection: Connection,
    addresses: Mapping[int, str],
    folder: Path,
    options: ImageOptions,
    progress: Progress = no_progress,
    *,
    indexed: bool = True,
    most_failures: int | None = None,
) -> Downloads:
    """Bring the images of tasks into `folder`, those that are not there yet.

    Files that are there and whole stay, so that an interrupted pull resumes where it stopped.

    Args:
        connection: its key goes along to its own server only, never to another host.
        addresses: the images' addresses as the tasks hold them, by `Image.id`.
        folder: made when it does not exist.
        options: limits, hosts, and whether images are compared with what their servers have now.
        progress: called after every image.
        indexed: whether the folder's index is kept.
        most_failures: after that many, and some more to count them, the rest is not tried.

    Raises:
        ToolError: when Label Studio itself can't be reached, or refuses the key.
    """
    cache = ImageCache(folder, indexed=indexed)
    done = Downloads()
    for id, address in () if options.refresh else addresses.items():
        if image := cache.untouched(id, address):
            done.images[id] = image
    missing = [id for id in addresses if id not in done.images]
    with connection.request(_WHAT), WebImages(connection, options, THREADS) as web:
        fetcher = _Fetcher(connection.url, cache, web, options)
        try:
            _run_all(
                lambda id: fetcher.bring(id, addresses[id]),
                missing,
                done,
                len(addresses),
                None if most_failures is None else most_failures + _GIVE_UP_AFTER,
                progress,
                web.stop,
            )
        except ServerGoneError as error:
            raise error.cause from None
        finally:
            cache.save()
    done.kept, done.changed = fetcher.kept, sorted(fetcher.changed)
    return done


def download_images(
    connection: Connection,
    addresses: Mapping[int, str],
    folder: Path,
    options: ImageOptions,
) -> Mapping[int, str]:
    """Download images of tasks into a folder of the caller's; return their names, by `Image.id`.

    Raises:
        ToolError: naming the first task whose image can't be had.
    """
    done = bring_images(connection, addresses, folder, options, indexed=False)
    if done.failures:
        first = min(done.failures, key=TaskImage.of_id)
        raise ToolError(f"task {TaskImage.of_id(first).task}: {done.failures[first]}")
    return {id: image.name for id, image in done.images.items()}


class _Fetcher:
    """Brings one image; several threads share it."""

    def __init__(
        self, server: str, cache: ImageCache, web: WebImages, options: ImageOptions
    ) -> None:
        self._server = server
        self._cache = cache
        self._web = web
        self._options = options
        self.kept: dict[int, Unreadable] = {}
        self.changed: list[int] = []

    def bring(self, id: int, address: str) -> CachedImage:
        """Return an image, from the cache where that is whole.

        Raises:
            Unreadable: when it can't be had.
        """
        there = self._cache.intact(id, address)
        if there is not None and not self._options.refresh:
            return there
        try:
            return self._fetch(id, address, there)
        except Unreadable as error:
            problem = Unreadable(
                error.kind, f"its image {shown_address(address)} is missing: {error.reason}"
            )
            if there is None:
                raise problem from None
            self.kept[id] = problem
            return there

    def _fetch(self, id: int, address: str, there: CachedImage | None) -> CachedImage:
        name = cache_name(id, address)
        before = known = self._cache.known(name) if there is not None else None
        if known is not None and known.address != address_digest(address):
            known = None  # taken over: nobody knows where it came from
        with self._open(id, address, known) as content:
            if content is None or (known and _is_same(known, content)):
                assert there is not None
                return there
            target = self._cache.folder / name
            with atomic_path(target) as temporary:
                digest = _write(content, temporary, self._options)
                size = _checked_size(temporary, content, self._options)
            if before is not None and before.sha256 != digest:
                self.changed.append(id)
            return self._cache.record(
                id, address, digest, size, content.etag, content.last_modified
            )

    @contextmanager
    def _open(self, id: int, address: str, known: IndexedImage | None) -> Iterator[Content | None]:
        with ExitStack() as stack:
            if is_data_link(address):
                yield open_data_link(address)
            elif self._options.storage == "direct" and _scheme(address) in STORAGE_SCHEMES:
                yield stack.enter_context(open_in_storage(address.strip()))
            else:
                url = image_url(self._server, TaskImage.of_id(id).task, address)
                yield stack.enter_context(self._web.open(url, _conditions(known)))


def _run_all(
    bring: Callable[[int], CachedImage],
    images: Sequence[int],
    done: Downloads,
    total: int,
    most_failures: int | None,
    progress: Progress,
    stop: Callable[[], None],
) -> None:
    progress(_WHAT, len(done.images), total)
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(bring, id): id for id in images}
        try:
            for future in as_completed(running):
                id = running[future]
                try:
                    done.images[id] = future.result()
                except Unreadable as error:
                    done.failures[id] = error
                progress(_WHAT, len(done.images) + len(done.failures), total)
                if most_failures is not None and len(done.failures) > most_failures:
                    pool.shutdown(wait=False, cancel_futures=True)
                    stop()
                    return
        except BaseException:
            # An interrupt, or a refused key: don't work through the rest of the queue first.
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


def _write(content: Content, target: Path, options: ImageOptions) -> str:
    """Write a file, within the limits; return its digest."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in unpacked(content, options):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _checked_size(file: Path, content: Content, options: ImageOptions) -> tuple[int, int]:
    """Return an image's upright (width, height), read from its header: nothing is decoded."""
    try:
        width, height = upright_size(file)
    except TooManyPixelsError as error:
        width, height = error.width, error.height
    except AnnotationError:
        # A login page is no image and must not enter the cache.
        kind = content.kind or "unknown type"
        raise Unreadable(Kind.NO_IMAGE, f"what came is no readable image ({kind})") from None
    if width * height > options.max_pixels:
        raise Unreadable(
            Kind.OVER_LIMIT,
            f"it has {width} x {height} pixels, more than {options.max_megapixels:g} megapixels "
            "([images] max_megapixels in sparsedet.toml)",
        )
    return width, height


def _is_same(known: IndexedImage, content: Content) -> bool:
    """Return whether a server that sends an image shows that it is the one of before."""
    if content.etag or known.etag:
        return content.etag == known.etag
    return (
        bool(known.last_modified)
        and content.last_modified == known.last_modified
        and not content.packed
        and content.length == known.bytes
    )


def _conditions(known: IndexedImage | None) -> dict[str, str]:
    """Return the headers that ask for an image only where it has changed."""
    conditions = {}
    if known is not None and known.etag:
        conditions["If-None-Match"] = known.etag
    if known is not None and known.last_modified:
        conditions["If-Modified-Since"] = known.last_modified
    return conditions


def _scheme(address: str) -> str:
    return address.strip().partition(":")[0].lower()
