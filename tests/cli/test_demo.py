"""`sparsedet demo`, as it is typed: called again it goes on, on a server with another address."""

from pathlib import Path

import pytest

from sparsedet.setup_check import VENV_EXECUTABLE
from tests.cli.command import sparsedet
from tests.label_studio_server import REPOSITORY

WORDS = ("demo", "-o", "demo", "--iterations", "3", "--rounds", "1", "--json")


@pytest.mark.label_studio
def test_a_second_call_finds_everything_on_the_restarted_server(tmp_path: Path) -> None:
    (tmp_path / VENV_EXECUTABLE.parts[0]).symlink_to(REPOSITORY / VENV_EXECUTABLE.parts[0])
    # A key of the user's own is for another server, and must not get in the way.
    env = {"LABEL_STUDIO_API_KEY": "a-key-for-another-server"}
    first = sparsedet(*WORDS, cwd=tmp_path, env=env)
    assert first.status == 0, first.err
    again = sparsedet(*WORDS, cwd=tmp_path, env=env)
    assert again.status == 0, again.err
    assert "round 1:" not in again.err
    assert again.json()["rounds"] == first.json()["rounds"]
    assert (tmp_path / "demo/report.html").is_file()
