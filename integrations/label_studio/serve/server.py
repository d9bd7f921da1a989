"""The server of a live backend: its workers, and its connection to projects while it runs."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx

from sparsedet.errors import ToolError
from sparsedet.ledger import Ledger
from sparsedet.live_backend import LiveOptions
from sparsedet.loop.live_reviews import known_projects
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.runtime.visible_text import hide_library_warnings, log_to_stderr, show_escaped
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions
from sparsedet.wording import first_of

from ..client.connection import project_number
from ..client.failures import AGAIN
from ..projects import read_config
from .app import make_app
from .connect import Connected, connect, disconnect
from .in_background import in_background
from .predictor import live_categories
from .running import Running
from .secret import USER, new_secret
from .service import ConnectedTool, Service, ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

Say = Callable[[str], None]

START_SECONDS = 120.0
"""Allows for several workers that load torch at once on a busy machine."""
LEAVE_SECONDS = 30.0
"""Time for Label Studio to take the backend off its projects when the server stops."""
_NOTED_SECONDS = 2.0
"""Wait from which people are informed of it."""


def tool_options(options: LiveOptions) -> ToolOptions:
    """Return how projects are read: from the workspace's settings, if there is one."""
    if options.workspace is None:
        return DEFAULT_OPTIONS
    workspace = Workspace(options.workspace)
    return workspace.settings().tool_options(owner_id(workspace.root))


def serve(tool: ConnectedTool, options: LiveOptions, say: Say) -> None:
    """Serve until a signal to end; see `LiveIntegration.serve`.

    Args:
        tool: with `tool_options`.
        options: what to serve, and where.
        say: prints messages.
    """
    secret = options.secret or new_secret()
    settings = ServiceSettings(
        options.run,
        options.workspace,
        options.device,
        tool.url,
        # Pass the user's consent to the address on to the workers.
        replace(tool_options(options), named_url=True),
        options.connect,
        tool.connection.api_key,
        secret,
    )
    service = Service(settings, tool)
    # Report problems with the model now, and not from a worker.
    service.host.load()
    classes = service.host.current.info.classes
    for project in options.connect:
        config = read_config(tool.connection, project_number(project), settings.options)
        live_categories(classes, config, project)
    listening = _listen(options.host, options.port)
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::", "") else options.host
    local = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    address = options.address or local
    say(f"serving {first_of((name for _, name in classes), 3)} at {address}, user {USER}")
    if options.secret is None:
        say(f"secret (shown only once): {secret}")
    worker = partial(_worker, settings, type(tool))
    running = Running(make_app(service), worker, listening, options.workers)
    reviewed = _reviewed(options)
    add = partial(connect, tool.connection, options.connect, reviewed)
    with _connected(
        running,
        partial(_wait_until_up, local, secret),
        partial(add, address=address, secret=secret) if options.connect else None,
        partial(disconnect, tool.connection),
        say,
        _how_to_disconnect(options, reviewed, tool.url),
    ):
        running.run()


@contextmanager
def _connected(
    running: Running,
    wait: Callable[[threading.Event], None],
    add: Callable[[], Connected] | None,
    take_off: Callable[[Connected], None],
    say: Say,
    later: str,
) -> Iterator[None]:
    """Connect to projects as soon as the server answers, until the block ends.

    Args:
        running: the server, stopped on failure.
        wait: returns when the server answers or the event is set.
        add: connects; None if there is nothing to connect to.
        take_off: removes what `add` added.
        say: prints messages.
        later: command that takes the backend off where `take_off` did not.

    Raises:
        ToolError: after the block, if connecting or taking off failed.
    """
    ended = threading.Event()

    def connect_when_up() -> Connected | None:
        try:
            wait(ended)
            if add is None or ended.is_set():
                return None
            added = add()
        except BaseException:
            running.stop()
            raise
        say("connected; Ctrl-C stops the server and removes it from its projects")
        return added

    connecting = in_background(connect_when_up, "connect")

    def leave() -> None:
        # What failed to connect has left nothing.
        if connecting.exception() is None and (added := connecting.result()) is not None:
            take_off(added)
            say("removed from its projects")

    try:
        yield
    finally:
        ended.set()
        try:
            _wait_to_leave(in_background(leave, "leave"), say)
        except ToolError as error:
            why = str(error).removesuffix(f"; {AGAIN}")
            raise ToolError(f"{why}; the backend may still be in its projects: {later}") from None
    connecting.result()


def _wait_to_leave(leaving: "Future[None]", say: Say) -> None:
    """Wait until Label Studio has taken the backend off, for a limited time or until Ctrl-C.

    Raises:
        ToolError: if it refuses, or does not answer.
    """
    why = f"Label Studio did not answer within {LEAVE_SECONDS:.0f} s"
    try:
        _, pending = wait_for([leaving], _NOTED_SECONDS)
        if pending:
            say(
                "waiting for Label Studio to remove the backend from its projects, for up to "
                f"{LEAVE_SECONDS:.0f} s"
            )
            wait_for([leaving], LEAVE_SECONDS - _NOTED_SECONDS)
    except KeyboardInterrupt:
        why = "Label Studio had not answered yet"
    if not leaving.done():
        raise ToolError(why)
    leaving.result()


def _how_to_disconnect(options: LiveOptions, reviewed: Sequence[str], url: str) -> str:
    """Return the command that takes a left backend off all projects."""
    projects = dict.fromkeys((*options.connect, *reviewed))
    named = f" --url {url}" if options.named_url else ""
    command = "".join(f" --disconnect {project}" for project in projects)
    return f"once Label Studio answers, run sparsedet serve{command}{named}"


def _wait_until_up(local: str, secret: str, ended: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ended.is_set():
        try:
            # Not through a proxy, which would also see the secret.
            health = httpx.get(f"{local}/health", auth=(USER, secret), timeout=5.0, trust_env=False)
            if health.is_success:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise ToolError(f"no worker answered within {START_SECONDS:.0f} s")
        ended.wait(0.1)


def _reviewed(options: LiveOptions) -> list[str]:
    """Return the projects in which the workspace's boxes are reviewed."""
    if options.workspace is None:
        return []
    file = Workspace(options.workspace).ledger
    if not file.is_file():
        return []
    with closing(Ledger(file)) as ledger:
        return sorted(filter(str.isdigit, known_projects(ledger)))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ToolError(
            f"can't listen on {host}:{port} ({error.strerror}); choose another --port, or stop "
            "what listens there"
        ) from None


def _worker(settings: ServiceSettings, make_tool: Callable[..., ConnectedTool]) -> "FastAPI":
    """Return the application of a worker process."""
    show_escaped()
    hide_library_warnings()
    log_to_stderr(logging.WARNING)
    tool = make_tool(settings.url, settings.options, api_key=settings.api_key)
    return make_app(Service(settings, tool))
