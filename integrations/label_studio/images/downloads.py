"""Downloads images of tasks into a folder with a thread pool; each file is complete or absent."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sparsedet.annotations import upright_size
from sparsedet.annotations.image_index import IndexedImage
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError, ToolError, TooManyPixelsError
from sparsedet.image_options import ImageOptions
from sparsedet.push_modes import Progress, no_progress

from ..client.connection import Connection
from ..task_images import TaskImage
from .addresses import address_digest, image_url, shown_address
from .cache import CachedImage, ImageCache
from .content import Content, unpacked
from .data_links import is_data_link, open_data_link
from .storages import STORAGE_SCHEMES, open_in_storage
from .unreadable import Kind, Unreadable
from .web import ServerGoneError, WebImages

THREADS = 6
"""Small files are bound by latency; one by one, a local server delivers about 32 per second."""

_WHAT = "downloading images"
_GIVE_UP_AFTER = 20
"""Further failures to wait for once a pull can't succeed, to count them."""
_AGAIN_AFTER = 2.0
"""Seconds after the others until images that a server failed to send are requested again."""


@dataclass
class Downloads:
    """Results of downloads, by `Image.id`; see `TaskImage`."""

    images: dict[int, CachedImage] = field(default_factory=dict)
    failures: dict[int, Unreadable] = field(default_factory=dict)
    """Why the others are unavailable, as clauses to follow "task N: "."""
    kept: dict[int, Unreadable] = field(default_factory=dict)
    """After a refresh: why an image could not be refreshed."""
    changed: list[int] = field(default_factory=list)
    """After a refresh: ids of changed images."""


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
    """Download the images of tasks that are missing in `folder`.

    Intact files are kept, so that an interrupted pull resumes where it stopped.

    Args:
        connection: its key is sent only to its own server.
        addresses: the images' addresses as stored in the tasks, by `Image.id`.
        folder: made when it does not exist.
        options: limits, hosts, and whether to check images for changes.
        progress: called after every image.
        indexed: whether to keep the folder's index.
        most_failures: the rest is skipped after this many failures (and some more, to count them).

    Raises:
        ToolError: if Label Studio itself can't be reached, or refuses the key.
    """
    cache = ImageCache(folder, indexed=indexed)
    done = Downloads()
    for id, address in () if options.refresh else addresses.items():
        if image := cache.untouched(id, address):
            done.images[id] = image
    missing = [id for id in addresses if id not in done.images]
    with connection.request(_WHAT), WebImages(connection, options, THREADS) as web:
        fetcher = _Fetcher(connection.url, cache, web, options)
        run = partial(
            _run_all,
            lambda id: fetcher.bring(id, addresses[id]),
            done=done,
            total=len(addresses),
            most_failures=None if most_failures is None else most_failures + _GIVE_UP_AFTER,
            progress=progress,
            stop=web.stop,
        )
        try:
            if run(missing) and (failed := fetcher.failed(done)):
                time.sleep(_AGAIN_AFTER)
                run(failed)
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
    """Download images of tasks into the caller's folder; return their names, by `Image.id`.

    Raises:
        ToolError: naming the first task whose image is unavailable.
    """
    done = bring_images(connection, addresses, folder, options, indexed=False)
    if done.failures:
        first = min(done.failures, key=TaskImage.of_id)
        raise ToolError(f"task {TaskImage.of_id(first).task}: {done.failures[first]}")
    return {id: image.name for id, image in done.images.items()}


class _Fetcher:
    """Downloads images; shared by several threads."""

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
        """Return an image, from the cache if it is intact there.

        Raises:
            Unreadable: if it is unavailable.
        """
        self.kept.pop(id, None)
        there = self._cache.intact(id, address)
        if there is not None and not self._options.refresh:
            return there
        try:
            return self._fetch(id, address, there)
        except Unreadable as error:
            problem = Unreadable(
                error.kind,
                f"its image {shown_address(address)} is missing: {error.reason}",
                passing=error.passing,
            )
            if there is None:
                raise problem from None
            self.kept[id] = problem
            return there

    def failed(self, done: Downloads) -> list[int]:
        """Return the ids of images that another request may bring."""
        problems = {**done.failures, **self.kept}
        return [id for id, problem in problems.items() if problem.passing]

    def _fetch(self, id: int, address: str, there: CachedImage | None) -> CachedImage:
        name = self._cache.name(id, address)
        before = known = self._cache.known(name) if there is not None else None
        if known is not None and known.address != address_digest(address):
            known = None  # accepted without a record: its origin is unknown
        with self._open(id, address, known) as content:
            if content is None or (known and _is_same(known, content)):
                assert there is not None
                return there
            target = self._cache.folder / name
            with atomic_path(target, through_link=False) as temporary:
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
    *,
    done: Downloads,
    total: int,
    most_failures: int | None,
    progress: Progress,
    stop: Callable[[], None],
) -> bool:
    """Add images to `done`; return whether all were tried."""
    progress(_WHAT, len(done.images), total)
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(bring, id): id for id in images}
        try:
            for future in as_completed(running):
                id = running[future]
                try:
                    done.images[id] = future.result()
                    done.failures.pop(id, None)
                except Unreadable as error:
                    done.failures[id] = error
                progress(_WHAT, len(done.images) + len(done.failures), total)
                if most_failures is not None and len(done.failures) > most_failures:
                    pool.shutdown(wait=False, cancel_futures=True)
                    stop()
                    return False
        except BaseException:
            # On an interrupt or a refused key, don't process the rest of the queue.
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    return True


def _write(content: Content, target: Path, options: ImageOptions) -> str:
    """Write a file within the limits; return its digest."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in unpacked(content, options):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _checked_size(file: Path, content: Content, options: ImageOptions) -> tuple[int, int]:
    """Return an image's upright (width, height) from its header, without decoding."""
    try:
        width, height = upright_size(file)
    except TooManyPixelsError as error:
        width, height = error.width, error.height
    except AnnotationError:
        # A login page is not an image and must not enter the cache.
        kind = content.kind or "unknown type"
        raise Unreadable(Kind.NO_IMAGE, f"the response is not a readable image ({kind})") from None
    if width * height > options.max_pixels:
        raise Unreadable(
            Kind.OVER_LIMIT,
            f"it has {width} x {height} pixels, more than {options.max_megapixels:g} megapixels "
            "([images] max_megapixels in sparsedet.toml)",
        )
    return width, height


def _is_same(known: IndexedImage, content: Content) -> bool:
    """Return whether the server's headers show that an image is unchanged."""
    if content.etag or known.etag:
        return content.etag == known.etag
    return (
        bool(known.last_modified)
        and content.last_modified == known.last_modified
        and not content.packed
        and content.length == known.bytes
    )


def _conditions(known: IndexedImage | None) -> dict[str, str]:
    """Return the headers that request an image only if it has changed."""
    conditions = {}
    if known is not None and known.etag:
        conditions["If-None-Match"] = known.etag
    if known is not None and known.last_modified:
        conditions["If-Modified-Since"] = known.last_modified
    return conditions


def _scheme(address: str) -> str:
    return address.strip().partition(":")[0].lower()
