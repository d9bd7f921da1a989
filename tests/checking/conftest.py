"""A workspace after two rounds, created once; every test damages a copy of its own."""

import shutil
from pathlib import Path

import pytest

from tests.checking.damaged import Damaged, finished_rounds


@pytest.fixture(scope="session")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project and its workspace, of which nothing is changed."""
    folder = tmp_path_factory.mktemp("rounds")
    finished_rounds(folder)
    return folder


@pytest.fixture
def damaged(rounds: Path, tmp_path: Path) -> Damaged:
    """A workspace that is whole, for a test to damage."""
    copy = tmp_path / "copy"
    shutil.copytree(rounds, copy)
    return Damaged(copy)
