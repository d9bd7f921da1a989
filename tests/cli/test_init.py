"""`sparsedet init`: a folder becomes a workspace."""

from pathlib import Path

import pytest

from sparsedet.integrations.files import FilesTool
from sparsedet.loop.settings import read_settings
from tests.cli.command import sparsedet
from tests.integrations.files.samples import write_project


@pytest.fixture
def project(tmp_path: Path) -> str:
    """A project folder below the test's folder."""
    write_project(tmp_path / "cars")
    return "cars"


def test_it_tries_the_connection_and_writes_the_settings(tmp_path: Path, project: str) -> None:
    words = ("init", "work", "--tool", "files", "--url", ".", "--project", project)
    result = sparsedet(*words, cwd=tmp_path)
    assert result.status == 0, result.err
    settings = read_settings(tmp_path / "work/sparsedet.toml")
    assert settings.source.tool == "files"
    assert settings.source.url == FilesTool(str(tmp_path)).url
    assert settings.review.mode == "review-project"
    assert "next: sparsedet round work" in result.err
    assert "exists already" in sparsedet(*words, cwd=tmp_path).error()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tool", "files"), "which project? Give --project"),
        (("--tool", "paper", "--project", "1"), "no integration named 'paper'"),
        (("--tool", "files", "--project", "nowhere"), "nowhere"),
        (("--tool", "files", "--project", "x", "--mode", "loud"), "--mode loud: expected review-"),
        (("--project", "7"), "no Label Studio address"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_file(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    env = {"LABEL_STUDIO_URL": "", "LABEL_STUDIO_API_KEY": ""}
    assert message in sparsedet("init", "work", *words, cwd=tmp_path, env=env).error()
    assert not (tmp_path / "work/sparsedet.toml").exists()


def test_the_project_itself_is_no_workspace(tmp_path: Path, project: str) -> None:
    words = ("init", project, "--tool", "files", "--url", ".", "--project", project)
    assert "cars is the project itself" in sparsedet(*words, cwd=tmp_path).error()
    assert not (tmp_path / "cars/sparsedet.toml").exists()
