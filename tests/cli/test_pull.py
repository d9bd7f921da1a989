"""`sparsedet pull` from a server in this process."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Result, sparsedet_here
from tests.hostile.odd_server import Answer, OddServer, odd_server, picture


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def pull(server: OddServer, folder: Path, *arguments: str) -> Result:
    env = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": "0123456789abcdef"}
    return sparsedet_here("pull", "-o", "workspace", *arguments, cwd=folder, env=env)


def test_images_are_refreshed_on_request(server: OddServer, tmp_path: Path) -> None:
    pull(server, tmp_path, "--project", "1")
    server.answers["/images/"] = Answer(picture((20, 50)), kind="image/png")
    image = tmp_path / "workspace" / "images" / "1-1.png"
    before = image.read_bytes()
    assert pull(server, tmp_path).status == 0
    assert image.read_bytes() == before
    assert pull(server, tmp_path, "--refresh").status == 0
    assert image.read_bytes() == picture((20, 50))


def test_what_is_left_out_is_counted(server: OddServer, tmp_path: Path) -> None:
    server.answers["/images/1.png"] = Answer(b"", 404)
    assert pull(server, tmp_path, "--project", "1", "--json").json()["left_out"] == 1


def test_a_first_pull_that_ends_at_a_limit_leaves_settings_to_change(
    server: OddServer, tmp_path: Path
) -> None:
    server.answers["/images/"] = Answer(bytes(2000), 200, "image/png", {"Content-Length": "9" * 12})
    assert "max_megabytes in sparsedet.toml" in pull(server, tmp_path, "--project", "1").error()
    settings = tmp_path / "workspace" / "sparsedet.toml"
    assert tomllib.loads(settings.read_text())["images"]["max_megabytes"] == 100
    del server.answers["/images/"]
    assert pull(server, tmp_path).status == 0
