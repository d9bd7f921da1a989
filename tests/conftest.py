"""Fixtures that tests in several folders share."""

from collections.abc import Iterator

import pytest

from sparsedet.integrations.label_studio.server import LocalServer
from tests.label_studio_server import server_for_tests


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A running Label Studio, shared by the test run: make projects of your own in it."""
    with server_for_tests(tmp_path_factory.mktemp("label-studio")) as server:
        yield server
