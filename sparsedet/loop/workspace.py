"""A project folder on disk: its settings, image cache, ledger and rounds.

Paths only; what is in the files belongs to the modules that write them. Light, for `--help`.
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
from sparsedet.reading import read_text

if TYPE_CHECKING:
    from filelock import FileLock

    from sparsedet.loop.settings import Settings
    from sparsedet.run_folder import RunFolder

_LOCK = ".sparsedet.lock"
_BRIEF_LOCK = ".sparsedet.brief.lock"
_MAX_DEPTH = 5
_LONGEST_NAME = 1000
"""Bytes of `owner.id`."""
_BRIEF_SECONDS = 60.0
"""Reading the reviews of 6,000 images takes about 10 s."""
_WAIT_SECONDS = 0.05
"""Between two attempts to take a lock."""


@dataclass(frozen=True, slots=True)
class RoundFolder:
    """The files of a round; a step is done when its file is there, since each is written last."""

    root: Path
    number: int

    @property
    def next_step(self) -> str | None:
        """The first step that is not done; None when the round waits for its reviewers."""
        steps = {
            "pull": self.annotations,
            "split": self.train,
            "train": self.run.model,
            "mine": self.mined,
            "push": self.push,
        }
        return next((name for name, result in steps.items() if not result.exists()), None)

    @property
    def known(self) -> Path:
        """Which mined boxes reviewers had judged when the round was pulled."""
        return self.root / "known.json"

    @property
    def options(self) -> Path:
        """What `sparsedet round` was asked to do otherwise in this round, if anything."""
        return self.root / "options.json"

    @property
    def annotations(self) -> Path:
        """What was pulled, with what reviewers said until then: a COCO file."""
        return self.root / "annotations.json"

    @property
    def val(self) -> Path:
        """The images that the round does not train on, where some are held out."""
        return self.root / "val.json"

    @property
    def train(self) -> Path:
        """The images that the round trains on."""
        return self.root / "train.json"

    @property
    def run(self) -> "RunFolder":
        """The training."""
        # It imports numpy, which commands that only look can do without.
        from sparsedet.run_folder import RunFolder

        return RunFolder(self.root / "run")

    @property
    def evaluation(self) -> Path:
        """How good its model is, where there is something to measure it on."""
        return self.root / "evaluation.json"

    @property
    def mined(self) -> Path:
        """What its model found."""
        return self.root / "mined.json"

    @property
    def lots(self) -> Path:
        """Which of its boxes are accepted by sample, if any."""
        return self.root / "lots.json"

    @property
    def candidates(self) -> Path:
        """Its model's detections of every score that may show an object without a box."""
        return self.root / "candidates.json"

    @property
    def suspicions(self) -> Path:
        """Annotations that look wrong to its model."""
        return self.root / "suspicions.json"

    @property
    def estimate(self) -> Path:
        """How complete the annotations were when that was last estimated."""
        return self.root / "estimate.json"

    @property
    def sheets(self) -> Path:
        """The layouts of its contact sheets; a folder next to it holds their pictures."""
        return self.root / "sheets.json"

    @property
    def push(self) -> Path:
        """What was pushed for review, and where."""
        return self.root / "push.json"

    @property
    def rehearsed(self) -> Path:
        """What the scripted reviewer did, of rehearsals."""
        return self.root / "rehearsed.json"

    @property
    def review(self) -> Path:
        """What had become of its boxes when they were last looked at."""
        return self.root / "review.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of a project folder."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """Where the annotations come from, and how rounds are run; makes a folder a workspace."""
        return self.root / "sparsedet.toml"

    @property
    def annotations(self) -> Path:
        """The annotations of the newest pull, with what reviewers said since: a COCO file."""
        return self.root / "annotations.json"

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def ledger(self) -> Path:
        """Every mined box ever pushed, and what became of it."""
        return self.root / "ledger.sqlite"

    @property
    def merged(self) -> Path:
        """What merges replaced in the annotated project, of the newest round."""
        rounds = self.all_rounds()
        return (rounds[-1].root if rounds else self.root) / "merged"

    @property
    def rounds(self) -> Path:
        """The folder of all rounds."""
        return self.root / "rounds"

    def round(self, number: int) -> RoundFolder:
        """Return the folder of round `number`, counted from 1."""
        return RoundFolder(self.rounds / f"{number:03d}", number)

    def all_rounds(self) -> list[RoundFolder]:
        """Return the rounds that were begun, oldest first."""
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
    def lock(self, *, brief: bool = False) -> Iterator[None]:
        """Keep other sparsedet processes from changing the workspace during the block.

        The operating system ends the lock with the process, however it ends.

        Args:
            brief: the block takes no longer than others like to wait: they do, without a word.

        Raises:
            WorkspaceBusyError: when another process holds it, and not briefly.
        """
        from filelock import FileLock, Timeout

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
            yield

    @contextmanager
    def shared_lock(self) -> Iterator[None]:
        """Keep other sparsedet processes from changing the workspace, and change nothing in it.

        Whoever works in a workspace has made the file of its lock: where there is none, nobody
        does. Several may hold this lock at a time, also of a folder that can't be written to.

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
            "end, or end it"
        )


def _share(descriptor: int, seconds: float) -> bool:
    """Take a shared lock on an open file, waiting so long at most; return whether it was free."""
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
    """Return whether another process holds a lock at this moment."""
    from filelock import Timeout

    try:
        with lock:
            return False
    except Timeout:
        return True


def owner_id(folder: Path) -> str:
    """Return the name of a workspace in marks on servers, made once and kept in `owner.id`.

    Args:
        folder: the workspace, or where the ledger of a push without workspace is.
    """
    known = known_owner(folder)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "owner.id", f"{uuid4().hex[:12]}\n")
    return owner_id(folder)


def known_owner(folder: Path) -> str | None:
    """Return the name of a workspace in marks on servers; None: it has none yet."""
    file = folder / "owner.id"
    if not file.is_file():
        return None
    if not (name := read_text(file, "name", most=_LONGEST_NAME).strip()):
        raise SparseDetError(
            f"{file}: empty; restore the workspace's name, or remove it where nothing was pushed"
        )
    return name


def enclosing(path: Path) -> Workspace | None:
    """Return the workspace that `path` is, or lies in at most five folders deep; else None."""
    absolute = path.resolve()
    for folder in (absolute, *absolute.parents[:_MAX_DEPTH]):
        if Workspace(folder).settings_file.is_file():
            return Workspace(folder)
    return None


def locate(data: Path, images: Path | None) -> tuple[Path, Path]:
    """Return annotation file and image folder of `data`: a COCO file or a workspace folder.

    A file's images are in `images` next to it, or in the workspace that it lies in.

    Raises:
        SparseDetError: when there is no such file, or a COCO file comes without image folder.
    """
    if data.is_dir():
        workspace = Workspace(data)
        if not workspace.annotations.exists():
            advice = (
                "run `sparsedet pull` first"
                if workspace.settings_file.exists()
                else "name the annotation file itself"
            )
            raise SparseDetError(f"{data}: no annotations.json in this folder; {advice}")
        return workspace.annotations, images or workspace.images
    if images is None:
        images = data.parent / "images"
        around = enclosing(data)
        if not images.is_dir() and around is not None:
            images = around.images
        if not images.is_dir():
            raise SparseDetError(f"{data}: where are its images? Give their folder with --images")
    return data, images
