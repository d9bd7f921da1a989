"""The temporary server itself."""

import os
import socket
import stat
import sys
from pathlib import Path

import httpx
import pytest

from sparsedet.doctor.checks import EXECUTABLE_VARIABLE
from sparsedet.errors import SetupError, ToolError
from sparsedet.integrations.label_studio.demo import local_server as server_module
from sparsedet.integrations.label_studio.demo.local_server import LocalServer, start_server
from sparsedet.integrations.label_studio.demo.server_program import find_executable
from tests.label_studio_server import VENV_EXECUTABLE


def program(folder: Path, script: str) -> Path:
    """A stand-in for `label-studio`."""
    path = folder / "label-studio"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without Label Studio, with none on PATH either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    monkeypatch.delenv(EXECUTABLE_VARIABLE, raising=False)
    return tmp_path


def test_the_executable_is_looked_for_in_this_order(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program(nowhere / "bin", "")
    assert find_executable() == on_path
    neighbour = program(nowhere / "venv/bin", "")
    assert find_executable() == neighbour
    named = program(nowhere / "named", "")
    monkeypatch.setenv(EXECUTABLE_VARIABLE, str(named))
    assert find_executable() == named
    given = program(nowhere / "given", "")
    assert find_executable(given) == given


def test_not_installed_says_how_to_install(nowhere: Path) -> None:
    with pytest.raises(SetupError, match=r"make label-studio.*pip install label-studio"):
        find_executable()
    with pytest.raises(SetupError, match="no such program"):
        find_executable(nowhere / "missing")


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    broken = program(tmp_path, "echo the disk is full >&2; exit 3")
    with pytest.raises(ToolError, match=r"exited during startup(.|\n)*the disk is full"):
        start_server(tmp_path / "data", executable=broken)


@pytest.mark.parametrize("said", ["* Port 1 is in use.", "Error: That port is already in use."])
def test_a_server_that_ends_as_its_port_is_taken_is_started_on_another(
    said: str, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    taken = program(tmp_path, f"echo >> {starts}; echo '{said}'; exit 1")
    with pytest.raises(ToolError, match="no free port in 3 attempts"):
        start_server(tmp_path / "data", executable=taken)
    assert len(starts.read_text().splitlines()) == 3


def test_a_server_that_hangs_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "START_SECONDS", 1.0)
    slow = program(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60")
    with pytest.raises(ToolError, match="did not answer within 1 s"):
        start_server(tmp_path / "data", executable=slow)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.label_studio
def test_it_serves_this_machine_only_and_keeps_its_secrets(label_studio: LocalServer) -> None:
    assert label_studio.url.startswith("http://127.0.0.1:")
    assert label_studio.api_key not in repr(label_studio)
    assert label_studio.password not in repr(label_studio)
    command = Path(f"/proc/{label_studio.pid}/cmdline")
    if command.exists():
        arguments = command.read_bytes()
        assert label_studio.api_key.encode() not in arguments
        assert label_studio.password.encode() not in arguments
    mode = (label_studio.data_dir / "credentials.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.label_studio
def test_a_running_server_is_found_again(label_studio: LocalServer) -> None:
    again = start_server(label_studio.data_dir)
    assert again == label_studio
    assert httpx.get(f"{again.url}/health").status_code == 200


@pytest.mark.label_studio
def test_a_taken_port_is_noticed_and_another_one_used(
    label_studio: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([int(label_studio.url.rpartition(":")[2]), _free_port()])
    monkeypatch.setattr(server_module, "_free_port", lambda: next(free))
    other = start_server(tmp_path / "data", executable=VENV_EXECUTABLE)
    try:
        assert other.url != label_studio.url
        assert next(free, None) is None
    finally:
        other.stop()
    assert not server_module._is_ours(other)
    other.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
