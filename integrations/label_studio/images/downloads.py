"""Downloads of images, several at a time, into a folder where each file is whole or absent."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx

from sparsedet.annotations import upright_size
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.push_modes import Progress, no_progress

from ..connection import CONNECT_SECONDS, Connection, trusted_certificates
from .addresses import cache_name, image_url, is_same_host, shown_address

THREADS = 6
"""Small files are bound by the round trip; one by one a local server gives about 32 per second."""

READ_SECONDS = 60.0


def download_images(
    connection: Connection,
    addresses: Mapping[int, str],
    folder: Path,
    progress: Progress = no_progress,
) -> Mapping[int, str]:
    """Download the images of tasks into `folder`; return their file names there, by task id.

    Files that are there already stay, so that an interrupted pull resumes where it stopped.

    Args:
        connection: its key goes along to its own server only, never to another host.
        addresses: the images' addresses as the tasks hold them, by task id.
        folder: made when it does not exist.
        progress: called after every image.

    Raises:
        ToolError: naming the first task whose image can't be had, after trying all of them.
    """
    names = {task: cache_name(task, address) for task, address in addresses.items()}
    urls = {task: image_url(connection.url, task, address) for task, address in addresses.items()}
    missing = [task for task in names if not (folder / names[task]).is_file()]
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[int, str] = {}
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    trusted = trusted_certificates()
    with httpx.Client(timeout=timeout, follow_redirects=True, verify=trusted) as client:

        def fetch(task: int) -> None:
            authenticated = is_same_host(urls[task], connection.url)
            headers = connection.headers() if authenticated else {}
            _download(client, urls[task], headers, folder / names[task])

        with connection.request("downloading images"):
            _run_all(fetch, missing, failures, len(names) - len(missing), len(names), progress)
    if failures:
        task = min(failures)
        more = f"; so do {len(failures) - 1} more images" if len(failures) > 1 else ""
        raise ToolError(
            f"task {task}: its image {shown_address(addresses[task])} is missing: "
            f"{failures[task]}{more}"
        )
    return names


def _run_all(
    fetch: Callable[[int], None],
    tasks: Sequence[int],
    failures: dict[int, str],
    done: int,
    total: int,
    progress: Progress,
) -> None:
    progress("downloading images", done, total)
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(fetch, task): task for task in tasks}
        try:
            for future in as_completed(running):
                try:
                    future.result()
                except (_Unavailable, httpx.HTTPError, httpx.InvalidURL) as error:
                    failures[running[future]] = str(error) or type(error).__name__
                done += 1
                progress("downloading images", done, total)
        except BaseException:
            # An interrupt, or a refused key: don't work through the rest of the queue first.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Unavailable(Exception):
    """The message says why."""


def _download(client: httpx.Client, url: str, headers: Mapping[str, str], target: Path) -> None:
    with client.stream("GET", url, headers=headers) as response:
        if response.is_error:
            # The server answers 404 for a missing local file and 500 for a missing upload.
            raise _Unavailable(f"the server answered with status {response.status_code}")
        with atomic_path(target) as temporary:
            with temporary.open("wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)
            try:
                upright_size(temporary)  # a login page is no image and must not enter the cache
            except AnnotationError:
                kind = response.headers.get("content-type", "unknown type")
                raise _Unavailable(f"what came is no readable image ({kind})") from None
