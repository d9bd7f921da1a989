"""Fixtures shared by several folders, and the grouping of tests by worker."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset, write_coco
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.simulation.scenes import make_scenes
from tests.label_studio_server import server_for_tests, without_its_projects


@dataclass(frozen=True)
class Scenes:
    """A small fully labelled dataset of digit scenes."""

    dataset: Dataset
    images: Path
    annotations: Path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to one worker what shares a server, and the tests of a file, which share fixtures.

    Those of the server come first: they take longest.
    """
    items.sort(key=lambda item: not _needs_server(item))
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("server" if _needs_server(item) else file))


def _needs_server(item: pytest.Item) -> bool:
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    return "label_studio" in fixtures


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A running Label Studio, shared by the test run: make projects of your own in it."""
    with server_for_tests(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture(autouse=True)
def no_projects_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delete a test's projects from the shared server; those of its module stay."""
    if "label_studio" not in request.fixturenames:
        yield
        return
    with without_its_projects(request.getfixturevalue("label_studio")):
        yield


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    root = tmp_path_factory.mktemp("scenes")
    dataset = make_scenes(12, root / "images", seed=1)
    write_coco(dataset, root / "train.json")
    return Scenes(dataset, root / "images", root / "train.json")
