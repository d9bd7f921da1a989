"""The model in memory: loaded at startup, and reloaded when there is a newer one."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Lock, Thread

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.loop.live_model import (
    Fingerprint,
    LiveModel,
    find_served_run,
    load_live_model,
    rejected_boxes,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import ReviewedRegion

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""Seconds between checks for a newer model."""
RETRY_SECONDS = 60.0
"""Seconds until a model that could not be loaded is tried again; loading takes some."""

_LIVE = "-sparsedet-live"
"""End of the model version of live predictions, by which they are known as ours: pushes have the
run's id alone, and nothing else of a prediction says who made it."""

_PROBLEMS = (SparseDetError, OSError)
"""Files may be replaced at any time, and vanish between check and reading."""

Rejected = Mapping[tuple[str, str], Sequence[ReviewedRegion]]


class NoModelError(SparseDetError):
    """No model is available; the message says why."""


def live_version(run_id: str) -> str:
    """Return the model version of a run's live predictions."""
    return run_id + _LIVE


def is_live_version(model_version: str) -> bool:
    """Whether a prediction was made by a live backend of ours."""
    return model_version.endswith(_LIVE)


class ModelHost:
    """Holds the served model, and replaces it between two requests.

    If a model can't be loaded, the previous one stays; without one, `current` raises the reason.

    Args:
        run: a run folder; None for the latest finished round.
        workspace: see `LiveOptions.workspace`.
        device: cpu or cuda.
    """

    def __init__(self, run: Path | None, workspace: Workspace | None, device: str) -> None:
        self._run = run
        self._workspace = workspace
        self._device = device
        self._model: LiveModel | None = None
        self._problem = "the model is not loaded yet; retry in a few seconds"
        self._seen: Fingerprint | None = None
        self._retry_at = math.inf
        self._rejected: Rejected = {}
        self._ledger_seen: Fingerprint | None = None
        self._said: dict[str, str] = {}
        """Step of `look` -> why it fails, as reported."""
        self._detecting = Lock()
        self._ending = Event()
        self._on_change: Callable[[], None] = lambda: None

    def load(self) -> None:
        """Load the model, if it has changed.

        Raises:
            SparseDetError: if it can't be loaded; retried once its files change, and after a while:
                the settings may have been wrong, or the ledger or the GPU busy.
            OSError: likewise, if its files change or vanish meanwhile.
        """
        try:
            served = find_served_run(self._run, self._workspace)
            seen = served.fingerprint()
            if seen == self._seen and time.monotonic() < self._retry_at:
                return
            self._seen, self._retry_at = seen, time.monotonic() + RETRY_SECONDS
            before, self._model = self._model, load_live_model(served, self._device)
            self._retry_at = math.inf
        except _PROBLEMS as error:
            self._problem = str(error)
            raise
        if before is not None:
            logger.warning("now serving the model of %s", served.run.root)
            self._on_change()

    def start(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Start watching for newer models; `on_change` is called after each."""
        self._on_change = on_change
        Thread(target=self._watch, name="model", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._ending.set()

    @property
    def current(self) -> LiveModel:
        """The current model; get it once per request, so that all its answers use the same one.

        Raises:
            NoModelError: if there is none.
        """
        model = self._model
        if model is None:
            raise NoModelError(self._problem)
        return model

    def check(self) -> None:
        """Raise the error of `current` if there is no model."""
        _ = self.current

    def propose(self, model: LiveModel, dataset: Dataset, images: Path) -> tuple[MinedBox, ...]:
        """Return the boxes that a model proposes on an image; one image at a time."""
        # Two in parallel would take as long, and twice the memory.
        with self._detecting:
            return model.propose(dataset, images)

    def rejected(self, project: str, image: str) -> Sequence[ReviewedRegion]:
        """Return boxes that reviewers rejected on an image, at most a few seconds old."""
        return self._rejected.get((project, image), ())

    def look(self) -> None:
        """Check for a newer model and new rejections; report each failure once."""
        for step in (self.load, self._read_rejected):
            try:
                step()
            except _PROBLEMS as error:
                self._say_once(step.__name__, str(error))
            else:
                self._said.pop(step.__name__, None)

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                # The next check may succeed; this thread must not end.
                logger.exception("looking for a newer model failed")

    def _read_rejected(self) -> None:
        if self._workspace is None or not self._workspace.ledger.is_file():
            return
        state = self._workspace.ledger.stat()
        seen = (state.st_mtime_ns, state.st_size)
        if seen != self._ledger_seen:
            self._rejected = rejected_boxes(self._workspace)
            self._ledger_seen = seen

    def _say_once(self, step: str, problem: str) -> None:
        if self._said.get(step) != problem:
            self._said[step] = problem
            logger.warning("%s", problem)
