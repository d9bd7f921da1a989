"""One real Label Studio for the whole test run, started when the first test asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparsedet.errors import SetupError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer, running_server
from sparsedet.integrations.label_studio.demo.server_program import find_executable

REPOSITORY = Path(__file__).parent.parent
VENV_EXECUTABLE = REPOSITORY / ".venv-label-studio/bin/label-studio"
"""Where `make label-studio` installs the server."""


@contextmanager
def server_for_tests(folder: Path) -> Iterator[LocalServer]:
    """Run a server with its data in `folder`; it serves local files from `folder/documents`."""
    documents = folder / "documents"
    documents.mkdir()
    try:
        # The repository's own one wherever pytest was started.
        executable = VENV_EXECUTABLE if VENV_EXECUTABLE.is_file() else find_executable()
    except SetupError as error:
        pytest.fail(f"these tests need a Label Studio server: {error}", pytrace=False)
    with running_server(folder / "data", executable=executable, documents=documents) as server:
        yield server
