"""The Label Studio program: its path, environment, and an empty database to start from."""

import logging
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.atomic_io import atomic_path
from sparsedet.doctor.checks import EXECUTABLE_VARIABLE, LABEL_STUDIO_FIX, find_label_studio
from sparsedet.errors import SetupError
from sparsedet.push_modes import Progress

logger = logging.getLogger(__name__)

START_SECONDS = 240.0
"""Starting on a migrated database takes about 10 s on two cores, from scratch over 60 s."""

DATABASE = "label_studio.sqlite3"
"""The database's name in a data folder."""

# Variables that the server inherits. Not the rest: it reads settings from generic names like HOST
# and PASSWORD, and must not get the caller's LABEL_STUDIO_API_KEY.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME")
_SETTINGS = {
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "FEATURE_FLAGS_OFFLINE": "true",
    "DEBUG": "false",
    "PYTHONUNBUFFERED": "1",  # otherwise the log reports a taken port too late
    "LOG_LEVEL": "ERROR",
    # It only serves this machine, where live backends and image links are wanted.
    "SSRF_PROTECTION_ENABLED": "false",
    "ML_BLOCK_LOCAL_IP": "false",
    # Every export calls git for the server's version, five times: without this, in the repository
    # that contains the server's installation.
    "GIT_DIR": os.devnull,
}


def find_executable(given: Path | None = None) -> Path:
    """Return the path of the program `label-studio`.

    Looked for in this order: `given`, the environment variable SPARSEDET_LABEL_STUDIO, next to this
    Python, PATH.

    Raises:
        SetupError: with the commands that install it.
    """
    named = given or os.environ.get(EXECUTABLE_VARIABLE)
    if named and not Path(named).is_file():
        raise SetupError(f"{named}: no such program (expected the label-studio executable)")
    if found := given or find_label_studio():
        return found.absolute()
    raise SetupError(f"Label Studio is not installed: {LABEL_STUDIO_FIX}")


def template_database(program: Path, progress: Progress) -> Path | None:
    """Return a migrated, empty database for this server's version, created once per machine.

    Migration takes most of the first start. The template has no user and no token. Two concurrent
    processes both succeed: each migrates in its own folder, and the last rename wins.
    """
    version = _version(program)
    if version is None:
        return None
    template = _cache_dir() / f"label-studio-{version}.sqlite3"
    if template.exists():
        return template
    progress("preparing Label Studio's database (once, about a minute)", 0, 1)
    with TemporaryDirectory(prefix="sparsedet-label-studio-") as scratch:
        result = subprocess.run(
            [str(program), "init", "--quiet"],
            cwd=scratch,
            env=server_environment(Path(scratch), None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
        )
        database = Path(scratch) / DATABASE
        if result.returncode != 0 or not database.exists():
            # The start itself will fail and report its log.
            logger.debug("no template database: %s", result.stderr.decode(errors="replace"))
            return None
        with atomic_path(template) as temporary:
            shutil.copyfile(database, temporary)
    progress("preparing Label Studio's database (once, about a minute)", 1, 1)
    return template


def server_environment(data_dir: Path, documents: Path | None) -> dict[str, str]:
    """Return the environment variables of a server with its data in `data_dir`.

    `documents` is the folder from which projects may use images as local files.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment = inherited | _SETTINGS | {"LABEL_STUDIO_BASE_DATA_DIR": str(data_dir)}
    if documents is not None:
        environment["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] = "true"
        environment["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(documents.resolve())
    return environment


def _version(program: Path) -> str | None:
    """Return the installed version, from the interpreter next to the program (about 0.1 s)."""
    python = program.resolve().parent / "python"
    code = "from importlib.metadata import version; print(version('label-studio'))"
    try:
        result = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sparsedet"
