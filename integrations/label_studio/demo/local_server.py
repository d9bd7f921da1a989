"""A temporary Label Studio on this machine, for demos and tests.

The server is a separate program in a separate virtual environment (its pins conflict with ours);
this module starts it on a free port of 127.0.0.1, waits until it answers, and stops it.
"""

import atexit
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import BaseModel

from sparsedet.atomic_io import atomic_path, write_json
from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reading import read_object

from .server_program import (
    DATABASE,
    START_SECONDS,
    find_executable,
    server_environment,
    template_database,
)

STOP_SECONDS = 10.0

_EMAIL = "admin@example.com"
_PORT_ATTEMPTS = 3
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running Label Studio with its credentials."""

    url: str
    email: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)
    """The administrator's legacy token."""
    data_dir: Path
    """Database, uploads, log and credentials; a later start with the same folder reuses them."""
    pid: int
    """Leader of the server's process group."""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)
    """None for a server that an earlier process left running."""

    def stop(self) -> None:
        """Stop the server; does nothing if it is already stopped."""
        if self.process is not None and self.process.returncode is not None:
            return
        _end_group(self.pid, self.process)
        (self.data_dir / "server.json").unlink(missing_ok=True)


@contextmanager
def running_server(
    data_dir: Path,
    *,
    executable: Path | None = None,
    documents: Path | None = None,
    keep: bool = False,
    progress: Progress = no_progress,
) -> Iterator[LocalServer]:
    """Run a server on `data_dir` during the block, or with `keep`, also after it."""
    server = start_server(
        data_dir, executable=executable, documents=documents, keep=keep, progress=progress
    )
    try:
        yield server
    finally:
        if not keep:
            server.stop()


def start_server(
    data_dir: Path,
    *,
    executable: Path | None = None,
    documents: Path | None = None,
    keep: bool = False,
    progress: Progress = no_progress,
) -> LocalServer:
    """Start a server on `data_dir`, or return the one already running there.

    Args:
        data_dir: created if missing.
        executable: see `find_executable`.
        documents: folder from which projects may use images as local files.
        keep: keep it running after this process ends; otherwise it ends with it at the latest.
        progress: called for slow steps.

    Raises:
        SetupError: if Label Studio is not installed.
        ToolError: if it does not start, with the end of its log.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    credentials = _credentials(data_dir)
    if running := _running(data_dir, credentials):
        return running
    program = find_executable(executable)
    if not (data_dir / DATABASE).exists() and (template := template_database(program, progress)):
        with atomic_path(data_dir / DATABASE) as temporary:
            shutil.copyfile(template, temporary)
    progress("starting Label Studio", 0, 1)
    for _ in range(_PORT_ATTEMPTS):
        server = _start(program, data_dir, documents, credentials)
        if not keep:
            # Here and not after the wait: an interrupt during startup must not leave it running.
            atexit.register(server.stop)
        try:
            ready = _wait(server)
        except BaseException:
            server.stop()
            raise
        if ready:
            write_json(data_dir / "server.json", {"pid": server.pid, "url": server.url})
            progress("starting Label Studio", 1, 1)
            return server
        server.stop()
    raise ToolError(f"Label Studio found no free port in {_PORT_ATTEMPTS} attempts")


@dataclass(frozen=True, slots=True)
class _Credentials:
    password: str = field(repr=False)
    token: str = field(repr=False)


class _CredentialsFile(BaseModel):
    """Schema of `credentials.json`."""

    password: str
    token: str


class _ServerFile(BaseModel):
    """Schema of `server.json`."""

    url: str
    pid: int


def _credentials(data_dir: Path) -> _Credentials:
    """Return the folder's password and token, generated on first use.

    They only give access to this folder's server, whose database also has the token in clear.
    """
    path = data_dir / "credentials.json"
    if path.exists():
        known = read_object(path, _CredentialsFile, "remove the server's folder")
        return _Credentials(known["password"], known["token"])
    credentials = _Credentials(secrets.token_urlsafe(12), secrets.token_hex(20))
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(
            json.dumps({"password": credentials.password, "token": credentials.token})
        )
    return credentials


def _running(data_dir: Path, credentials: _Credentials) -> LocalServer | None:
    """Return the server that an earlier call left running on `data_dir`, if it still answers."""
    state = data_dir / "server.json"
    if not state.exists():
        return None
    content = read_object(state, _ServerFile, "remove it, and the server is started again")
    server = _server(data_dir, credentials, content["url"], content["pid"])
    return server if _is_ours(server) else None


def _server(
    data_dir: Path,
    credentials: _Credentials,
    url: str,
    pid: int,
    process: "subprocess.Popen[bytes] | None" = None,
) -> LocalServer:
    return LocalServer(
        url=url,
        email=_EMAIL,
        password=credentials.password,
        api_key=credentials.token,
        data_dir=data_dir,
        pid=pid,
        process=process,
    )


def _start(
    program: Path, data_dir: Path, documents: Path | None, credentials: _Credentials
) -> LocalServer:
    port = _free_port()
    environment = server_environment(data_dir, documents) | {
        # In the environment, since all users of the machine can read arguments.
        "LABEL_STUDIO_USERNAME": _EMAIL,
        "LABEL_STUDIO_PASSWORD": credentials.password,
        "LABEL_STUDIO_USER_TOKEN": credentials.token,
    }
    command = [str(program), "start", "--no-browser", "--enable-legacy-api-token"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    with (data_dir / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=data_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a separate process group, so that all of it can be killed
        )
    return _server(data_dir, credentials, f"http://127.0.0.1:{port}", process.pid, process)


def _wait(server: LocalServer) -> bool:
    """Wait until the server answers; False if its port is taken."""
    log = server.data_dir / "server.log"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = server.process is not None and server.process.poll() is not None
        # It silently tries the next port, where we would not find it, and ends if that is taken
        # too.
        if re.search(r"is (already )?in use", log.read_text(errors="replace")):
            return False
        if ended:
            raise ToolError(f"Label Studio exited during startup; end of {log}:\n{_tail(log)}")
        if _is_ours(server):
            return True
        time.sleep(0.3)
    raise ToolError(
        f"Label Studio did not answer within {START_SECONDS:.0f} s; end of {log}:\n{_tail(log)}"
    )


def _is_ours(server: LocalServer) -> bool:
    """Whether the server answers and accepts our token; another server would refuse it."""
    headers = {"Authorization": f"Token {server.api_key}"}
    try:
        response = httpx.get(
            f"{server.url}/api/current-user/whoami", headers=headers, timeout=5.0, trust_env=False
        )
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_group(pid: int, process: "subprocess.Popen[bytes] | None") -> None:
    """Terminate the process group, and kill it after `STOP_SECONDS`."""
    with contextlib.suppress(ProcessLookupError):  # raised as soon as the group is gone
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if process is not None:
                    process.poll()  # reaps a dead child, which would otherwise count as alive
                os.killpg(pid, 0)
                time.sleep(0.05)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
