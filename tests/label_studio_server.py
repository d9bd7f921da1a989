"""One real Label Studio for the whole test run, started when the first test asks for it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sparsedet.errors import SetupError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer, running_server
from sparsedet.integrations.label_studio.demo.server_program import find_executable

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
