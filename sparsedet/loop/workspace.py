"""The folder of a project: settings, image cache, ledger and rounds.

Paths only; file contents belong to the modules that write them. Imports little, for `--help`.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sparsedet.atomic_io import write_text
from sparsedet.errors import SparseDetError, WorkspaceBusyError
from sparsedet.loop.leftovers import remove_leftovers
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.reading import read_text

if TYPE_CHECKING:
    from filelock import FileLock

    from sparsedet.loop.settings import Settings

_LOCK = ".sparsedet.lock"
_BRIEF_LOCK = ".sparsedet.brief.lock"
_MAX_DEPTH = 5
_LONGEST_NAME = 1000
"""Number of bytes in `owner.id`."""
_BRIEF_SECONDS = 60.0
"""Reading the reviews of 6,000 images takes about 10 s."""
_WAIT_SECONDS = 0.05
"""Delay between two attempts to take a lock."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of a project folder."""

    root: Path

    def __post_init__(self) -> None:
        # From Python, people pass text.
        object.__setattr__(self, "root", Path(self.root))

    @property
    def settings_file(self) -> Path:
        """The source of the annotations, and the settings of rounds; makes a folder a workspace."""
        return self.root / "sparsedet.toml"

    @property
    def annotations(self) -> Path:
        """The annotations of the newest pull, with later reviews applied: a COCO file."""
        return self.root / "annotations.json"

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def ledger(self) -> Path:
        """Every mined box ever pushed, and its outcome."""
        return self.root / "ledger.sqlite"

    @property
    def merged(self) -> Path:
        """What merges replaced in the annotated project, in the newest round."""
        rounds = self.all_rounds()
        return (rounds[-1].root if rounds else self.root) / "merged"

    @property
    def rounds(self) -> Path:
        """The folder of all rounds."""
        return self.root / "rounds"

    def round(self, number: int) -> RoundFolder:
        """Return the folder of round `number`, starting at 1."""
        return RoundFolder(self.rounds / f"{number:03d}", number)

    def all_rounds(self) -> list[RoundFolder]:
        """Return the existing rounds, oldest first."""
        found = self.rounds.iterdir() if self.rounds.is_dir() else ()
        numbers = sorted(int(path.name) for path in found if path.name.isdigit() and path.is_dir())
        return [self.round(number) for number in numbers]

    def settings(self) -> "Settings":
        """Read `sparsedet.toml`; see `read_settings`."""
        from sparsedet.loop.settings import read_settings

        return read_settings(self.settings_file)

    def write_settings(self, settings: "Settings") -> None:
        """Write `sparsedet.toml`."""
        from sparsedet.loop.settings import write_settings

        write_settings(settings, self.settings_file)

    @contextmanager
    def lock(self, *, brief: bool = False, tidy: bool = True) -> Iterator[None]:
        """Lock the workspace against changes by other sparsedet processes during the block.

        The operating system releases the lock when the process ends for any reason.

        Args:
            brief: the block is short enough for others to wait for it silently.
            tidy: remove what killed processes left half-written, unless it is brief.

        Raises:
            SparseDetError: when the workspace is a file.
            WorkspaceBusyError: when another process holds the lock for longer.
        """
        from filelock import FileLock, Timeout

        if self.root.is_file():
            raise SparseDetError(f"{self.root}: a file, not a folder; choose another name")
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / _LOCK, timeout=0)
        short = FileLock(self.root / _BRIEF_LOCK, timeout=0)
        with ExitStack() as held:
            try:
                if brief:
                    held.enter_context(short)
                    held.enter_context(lock)
                else:
                    held.enter_context(lock.acquire(_BRIEF_SECONDS if _is_held(short) else 0))
            except Timeout:
                raise self._busy() from None
            if tidy and not brief:
                remove_leftovers(self.root)
            yield

    @contextmanager
    def shared_lock(self) -> Iterator[None]:
        """Lock the workspace against changes by other sparsedet processes, without writing to it.

        Every process that works in a workspace has created its lock file, so without one nobody
        does. The lock is shared, and also works for a folder that can't be written to.

        Raises:
            WorkspaceBusyError: when another process works in it.
        """
        with ExitStack() as held:
            for name in (_BRIEF_LOCK, _LOCK):
                try:
                    file = held.enter_context((self.root / name).open("rb"))
                except (FileNotFoundError, PermissionError):
                    continue
                seconds = _BRIEF_SECONDS if name == _BRIEF_LOCK else 0.0
                if not _share(file.fileno(), seconds):
                    raise self._busy()
            yield

    def _busy(self) -> WorkspaceBusyError:
        return WorkspaceBusyError(
            f"{self.root}: another sparsedet process is working in this workspace; wait for it to "
            "finish, or stop it"
        )


def _share(descriptor: int, seconds: float) -> bool:
    """Take a shared lock on an open file, waiting at most that long; return whether it was free."""
    import fcntl

    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_WAIT_SECONDS)


def _is_held(lock: "FileLock") -> bool:
    """Return whether another process currently holds a lock."""
    from filelock import Timeout

    try:
        with lock:
            return False
    except Timeout:
        return True


def owner_id(folder: Path) -> str:
    """Return the workspace's name in marks on servers, created once and kept in `owner.id`.

    Args:
        folder: the workspace, or the folder of the ledger for pushes without a workspace.
    """
    known = known_owner(folder)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "owner.id", f"{uuid4().hex[:12]}\n")
    return owner_id(folder)


def known_owner(folder: Path) -> str | None:
    """Return the workspace's name in marks on servers; None: it has none yet."""
    file = folder / "owner.id"
    if not file.is_file():
        return None
    if not (name := read_text(file, "name", most=_LONGEST_NAME).strip()):
        raise SparseDetError(
            f"{file}: empty: restore the workspace's name, or remove the file if nothing was pushed"
        )
    return name


def enclosing(path: Path) -> Workspace | None:
    """Return the workspace that `path` is, or is at most five folders deep in; else None."""
    absolute = path.resolve()
    for folder in (absolute, *absolute.parents[:_MAX_DEPTH]):
        if Workspace(folder).settings_file.is_file():
            return Workspace(folder)
    return None


def locate(data: Path, images: Path | None) -> tuple[Path, Path]:
    """Return annotation file and image folder of `data`: a COCO file or a workspace folder.

    A COCO file's images are in `images` next to it, or in the workspace it is in.

    Raises:
        SparseDetError: when there is no such file, or the image folder is missing.
    """
    if data.is_dir():
        workspace = Workspace(data)
        if not workspace.annotations.exists():
            advice = (
                "run `sparsedet pull` first"
                if workspace.settings_file.exists()
                else "pass the annotation file itself"
            )
            raise SparseDetError(f"{data}: no annotations.json in this folder; {advice}")
        return workspace.annotations, images or workspace.images
    if images is None:
        images = data.parent / "images"
        around = enclosing(data)
        if not images.is_dir() and around is not None:
            images = around.images
        if not images.is_dir():
            raise SparseDetError(f"{data}: missing image folder: pass --images FOLDER")
    return data, images
