"""One real Label Studio for the whole test run, started when the first test asks for it."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sparsedet.errors import SetupError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer, running_server
from sparsedet.integrations.label_studio.demo.server_program import DATABASE, find_executable

REPOSITORY = Path(__file__).parent.parent
VENV_EXECUTABLE = REPOSITORY / ".venv-label-studio/bin/label-studio"
"""Where `make label-studio` installs the server."""

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 500_000_000
"""Room for several times what a test run leaves on the server."""


@contextmanager
def server_for_tests(folder: Path) -> Iterator[LocalServer]:
    """Run a server; its data and the `documents` that it serves are in `folder`, or in memory."""
    try:
        # The repository's own one wherever pytest was started.
        executable = VENV_EXECUTABLE if VENV_EXECUTABLE.is_file() else find_executable()
    except SetupError as error:
        pytest.fail(f"these tests need a Label Studio server: {error}", pytrace=False)
    with ExitStack() as stack:
        # SQLite waits for the disk in every request that writes, which is most of what it takes.
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
            scratch = TemporaryDirectory(prefix="sparsedet-tests-", dir=MEMORY)
            folder = Path(stack.enter_context(scratch))
        documents = folder / "documents"
        documents.mkdir()
        yield stack.enter_context(
            running_server(folder / "data", executable=executable, documents=documents)
        )


@contextmanager
def without_its_projects(server: LocalServer) -> Iterator[None]:
    """Delete the projects that were made in the block.

    Every push reads the list of all projects, which takes the server seconds when there are
    hundreds.
    """
    before = _projects(server)
    yield
    connection = Connection(server.url, server.api_key)
    for project in _projects(server) - before:
        connection.delete(f"api/projects/{project}/", "deleting a test's project")


def _projects(server: LocalServer) -> set[int]:
    # Past the server, which would take longer.
    database = f"file:{server.data_dir / DATABASE}?mode=ro"
    with closing(sqlite3.connect(database, uri=True, timeout=60.0)) as connection:
        return {number for (number,) in connection.execute("SELECT id FROM project")}
