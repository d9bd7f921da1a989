"""The server of a live backend: its workers, and its connection to projects while it runs."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx

from sparsedet.errors import ToolError
from sparsedet.live_backend import LiveOptions
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.runtime.visible_text import hide_library_warnings, log_to_stderr, show_escaped
from sparsedet.tool import DEFAULT_OPTIONS, ToolOptions
from sparsedet.wording import first_of

from ..client.connection import project_number
from ..client.failures import AGAIN
from ..projects import read_config
from .app import make_app
from .connect import REPORTED
from .in_background import in_background
from .live_projects import LiveProjects
from .predictor import live_categories
from .reviewed_projects import ReviewedProjects
from .running import Running
from .secret import USER, new_secret
from .service import ConnectedTool, Service, ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

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
    live = LiveProjects(
        tool.connection,
        options.connect,
        ReviewedProjects(options.workspace, tool.url),
        address=address,
        secret=secret,
    )
    with _connected(
        running,
        live,
        partial(_wait_until_up, local, secret),
        partial(_report, local, secret),
        say,
        lambda: _how_to_disconnect(options, live.names, tool.url),
    ):
        running.run()


@contextmanager
def _connected(
    running: Running,
    live: LiveProjects,
    wait: Callable[[threading.Event], None],
    report: Callable[[str], None],
    say: Say,
    later: Callable[[], str],
) -> Iterator[None]:
    """Connect to projects as soon as the server answers, until the block ends.

    Args:
        running: the server, stopped on failure.
        live: the projects.
        wait: returns when the server answers or the event is set.
        report: has the reviews read that are in a project.
        say: prints messages.
        later: returns the command that disconnects projects which are still connected.

    Raises:
        ToolError: after the block, if connecting or disconnecting failed.
    """
    ended = threading.Event()

    def connect_when_up() -> None:
        try:
            wait(ended)
            connected = not ended.is_set() and live.connect()
        except BaseException:
            running.stop()
            raise
        if connected:
            say("connected; Ctrl-C stops the server and removes it from its projects")
        if live.names and not ended.is_set():
            # What was reviewed while no server ran; a report reads the reviews of all projects.
            report(live.names[-1])
        if connected:
            live.follow(ended, report)

    connecting = in_background(connect_when_up, "connect")

    def leave() -> None:
        # What failed to connect has left nothing.
        if connecting.exception() is None and live.disconnect():
            say("removed from its projects")

    try:
        yield
    finally:
        ended.set()
        try:
            _wait_to_leave(in_background(leave, "leave"), say)
        except ToolError as error:
            why = str(error).removesuffix(f"; {AGAIN}")
            raise ToolError(f"{why}; the backend may still be in its projects: {later()}") from None
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


def _how_to_disconnect(options: LiveOptions, projects: Sequence[str], url: str) -> str:
    """Return the command that takes a left backend off all projects."""
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


def _report(local: str, secret: str, project: str) -> None:
    """Report a project as Label Studio does: one of the workers then reads its reviews."""
    event = {"action": REPORTED[0], "project": {"id": project_number(project)}}
    try:
        httpx.post(
            f"{local}/webhook", json=event, auth=(USER, secret), trust_env=False
        ).raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("reviews are only read after the next one: %s", error)


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
