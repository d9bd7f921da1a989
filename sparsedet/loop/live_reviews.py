"""Live reviews: a thread that collects them into the ledger soon after somebody saved.

The annotation tool only reports that something happened; the reviews are then read as by
`sparsedet review`. So a lost report loses nothing, and many at once cost a single reading.
"""

import logging
import time
from contextlib import closing
from threading import Condition, Thread

from sparsedet.errors import WorkspaceBusyError
from sparsedet.ledger import Ledger, Place
from sparsedet.loop.ledger_rebuild import rebuild
from sparsedet.loop.lots import collect_and_settle
from sparsedet.loop.reviews import Connections, note_address
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import write_estimate
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.tool import AnnotationTool

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""Reviews are read once nothing has been reported for this long ..."""
MOST_SECONDS = 10.0
"""... or the oldest report is this old."""
BUSY_SECONDS = 5.0
"""Retry after this long while a round, or another server, works in the workspace."""
FAILED_SECONDS = 30.0
"""Retry after this long if the tool can't be read."""


class ReviewCollector:
    """Collects a workspace's reviews in the background whenever it is notified.

    Args:
        workspace: A workspace with a `sparsedet.toml`.
        tool: the connection to its source.
    """

    def __init__(self, workspace: Workspace, tool: AnnotationTool) -> None:
        self._workspace = workspace
        self._tool = tool
        self._changed = Condition()
        self._reported: set[str] = set()
        """Projects with reports since they were last read."""
        self._since = 0.0
        self._latest = 0.0
        self._stopping = False
        self._failure = ""
        self._thread = Thread(target=self._run, name="collect-reviews", daemon=True)

    def start(self) -> None:
        """Start waiting for reports."""
        self._thread.start()

    def notify(self, project: str) -> None:
        """Note that somebody saved or deleted an annotation of a project; returns at once."""
        with self._changed:
            now = time.monotonic()
            if not self._reported:
                self._since = now
            self._latest = now
            self._reported.add(project)
            self._changed.notify()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the thread, after reading what was reported if that is possible at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._reported or self._stopping)
                while (left := self._until_due()) > 0 and not self._stopping:
                    self._changed.wait(left)
                projects, self._reported = self._reported, set()
                ending = self._stopping
            retry = self._collect(projects) if projects else 0.0
            if ending:
                return
            if retry:
                with self._changed:
                    # They count as reported before anything that came in meanwhile.
                    self._reported |= projects
                    self._changed.wait_for(lambda: self._stopping, retry)

    def _until_due(self) -> float:
        due = min(self._latest + QUIET_SECONDS, self._since + MOST_SECONDS)
        return due - time.monotonic()

    def _collect(self, projects: set[str]) -> float:
        """Collect; return the seconds until a retry, 0 when done."""
        try:
            collect_now(self._workspace, self._tool, projects)
        except WorkspaceBusyError:
            return BUSY_SECONDS
        except Exception as error:
            # Catch everything: if the thread died, later reports would be lost silently.
            if str(error) != self._failure:
                self._failure = str(error)
                logger.warning("can't read reviews at the moment: %s", error)
            return FAILED_SECONDS
        self._failure = ""
        return 0.0


def collect_now(
    workspace: Workspace, tool: AnnotationTool, projects: set[str] | None = None
) -> bool:
    """Collect a workspace's reviews, as `sparsedet review` does; return whether that was needed.

    Args:
        workspace: A workspace with a `sparsedet.toml`.
        tool: the connection to its source.
        projects: projects with reports; nothing is read if the ledger has none of them. None: read
            in any case.

    Raises:
        WorkspaceBusyError: when another process works in the workspace.
    """
    settings = workspace.settings()
    with workspace.lock(brief=True):
        rebuild(workspace, settings)
        if not workspace.ledger.is_file():
            return False
        note_address(workspace, settings, tool)
        with closing(Ledger(workspace.ledger)) as ledger:
            if projects is not None and projects.isdisjoint(known_projects(ledger)):
                return False
            connections = Connections(settings, tool, owner=owner_id(workspace.root))
            rule = settings.source.annotations
            collect_and_settle(workspace, ledger, connections, rule, say=logger.warning)
            write_estimate(workspace, settings, ledger)
    return True


def reviewed_places(ledger: Ledger, settings: Settings, url: str) -> list[Place]:
    """Return the places on a server at which a workspace's boxes are reviewed.

    Args:
        ledger: the workspace's.
        settings: its settings; their project is on the server, even if it had another address when
            boxes were pushed.
        url: the server's address.
    """
    source = settings.source
    return [
        place
        for place in ledger.places()
        if place.tool == source.tool and (place.url == url or place.project == source.project)
    ]


def known_projects(ledger: Ledger) -> set[str]:
    """Return the projects that boxes were pushed from or to."""
    places = ledger.places()
    return {p.source.project for p in places} | {p.review_project for p in places}
