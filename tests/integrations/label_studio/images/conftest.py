"""A server like Label Studio, in this process, with a project of two tasks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.image_options import ImageOptions
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.project_pull import pull_project
from sparsedet.tool import ToolOptions
from tests.hostile.odd_server import OddServer, json_answer, odd_server, task

KEY = "0123456789abcdef0123456789abcdef01234567"

Pull = Callable[..., Dataset]


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[OddServer]:
    """Another server, on another port."""
    with odd_server() as server:
        yield server


@pytest.fixture
def pull(server: OddServer, tmp_path: Path) -> Pull:
    """Pull the server's project into `images`; arguments are those of `ImageOptions`."""
    connection = Connection(server.url, KEY)

    def pull(*, skip_share: float | None = 0.5, **options: object) -> Dataset:
        # arg-type: each option has a type of its own.
        images = replace(ImageOptions(), **options)  # type: ignore[arg-type]
        server.seen.clear()
        read_as = ToolOptions(images=images, skip_share=skip_share)
        dataset: Dataset = pull_project(connection, "1", tmp_path / "images", read_as)
        return dataset

    return pull


def with_image(server: OddServer, address: object) -> None:
    """Have the project's first task show the image at an address, and the second one its own."""
    server.answers["/api/projects/1/export"] = json_answer([task(1, address), task(2)])


def asked(server: OddServer) -> list[str]:
    """Return the paths of the images that a server was asked for, sorted."""
    return sorted(
        request.removeprefix("GET ")
        for request, _ in server.seen
        if not request.startswith("GET /api/")
    )
