"""`pull`: a project's annotations and images as a `Dataset`.

Images are downloaded in parallel into a cache; each file is whole or absent, so that an interrupted
pull resumes where it stopped.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from sparsedet.annotations import Box, Dataset, Image, upright_size
from sparsedet.annotations.entries import IMAGE_KEYS
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions

from .annotation_choice import Alternatives, read_task
from .connection import CONNECT_SECONDS, Connection, project_number, trusted_certificates
from .label_config import LabelConfig
from .projects import export_tasks, read_source_config
from .regions import Oddities

THREADS = 6
"""Small files are bound by the round trip; one by one a local server gives about 32 per second."""

READ_SECONDS = 60.0
_MAX_NAME_BYTES = 120
_UNSAFE = re.compile(r"[^\w.-]+")


def pull_project(
    connection: Connection,
    project: str,
    images: Path,
    options: ToolOptions = DEFAULT_OPTIONS,
    progress: Progress = no_progress,
) -> Dataset:
    """Read a project through its JSON export and download its images into the folder `images`.

    `annotation_choice` says which of several annotations of a task count; drafts are not read.
    Tasks without one stay as images without boxes. What the server holds but no box can be made of
    is dropped, and counted in one warning; so are boxes of a model that somebody marked as unsure.
    An image's id is that of its task, so that it stays the same when tasks come or go.

    Raises:
        ToolError: when most boxes have labels that the project does not have, or it is itself a
            review project; see also `Connection`, `parse_config` and `download_images`.
    """
    number = project_number(project)
    progress("reading annotations", 0, 1)
    config = read_source_config(connection, number, options)
    tasks = sorted(export_tasks(connection, number), key=lambda task: int(task["id"]))
    progress("reading annotations", 1, 1)
    addresses = {int(task["id"]): image_address(task, config) for task in tasks}
    names = download_images(connection, addresses, images, progress)
    oddities, alternatives = Oddities(), Alternatives(options.annotations)
    pulled_images: list[Image] = []
    boxes: list[Box] = []
    for task in tasks:
        id = int(task["id"])
        # Percentages refer to the image as the browser shows it: upright, as in the file.
        size = upright_size(images / names[id])
        annotations = task.get("annotations") or []
        read = read_task(annotations, config, options.annotations, id, oddities, size)
        alternatives.add(annotations, read)
        pulled_images.append(
            Image(
                id=id,
                file_name=names[id],
                width=size[0],
                height=size[1],
                exhaustive=read.complete,
                tool_id=str(id),
                tool_version=read.version,
                extra=_task_keys(task, config),
            )
        )
        for region in read.boxes:
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=id,
                    category_id=config.category_ids[region.category],
                    xyxy=region.xyxy,
                    origin="human",
                    tool_id=region.region_id,
                )
            )
    _check_labels(project, oddities, read=len(boxes))
    oddities.warn(f"project {project}")
    alternatives.warn(f"project {project}")
    return Dataset(tuple(pulled_images), tuple(boxes), config.categories)


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
            authenticated = _is_same_host(urls[task], connection.url)
            headers = connection.headers() if authenticated else {}
            _download(client, urls[task], headers, folder / names[task])

        with connection.request("downloading images"):
            _run_all(fetch, missing, failures, len(names) - len(missing), len(names), progress)
    if failures:
        task = min(failures)
        more = f"; so do {len(failures) - 1} more images" if len(failures) > 1 else ""
        raise ToolError(
            f"task {task}: its image {_shown(addresses[task])} is missing: {failures[task]}{more}"
        )
    return names


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


def _check_labels(project: str, oddities: Oddities, read: int) -> None:
    """Refuse a project most of whose boxes can't be read, because labels were renamed."""
    unknown = oddities.unknown_labels
    if unknown.total() <= read:
        return
    labels = ", ".join(f"{label} ({count})" for label, count in unknown.most_common())
    rename = ", ".join(f'"{label}" = "..."' for label in unknown)
    raise ToolError(
        f"project {project}: {unknown.total()} of {unknown.total() + read} boxes have labels that "
        f"its labelling config does not have: {labels}; say what they are called now in "
        f'sparsedet.toml, [labels] rename = {{{rename}}} ("" leaves a label out)'
    )


def _task_keys(task: Mapping[str, Any], config: LabelConfig) -> dict[str, Any]:
    """Return what else is known of a task's image, such as its patient or video.

    Addresses stay behind: a signed one is a key to somebody's storage.
    """
    return {
        key: value
        for key, value in task["data"].items()
        if isinstance(value, str | int | float)
        and key not in (config.data_key, *IMAGE_KEYS)
        and "://" not in str(value)
    }


def _shown(address: str) -> str:
    """Return an address for an error message; the query of a web link may hold a signature."""
    return address.split("?")[0] if urlsplit(address).scheme else address


def _is_same_host(url: str, server: str) -> bool:
    ours, theirs = urlsplit(server), urlsplit(url)
    return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)


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
