"""The projects in which a workspace's boxes are reviewed, noticed as its ledger records them."""

from contextlib import closing
from pathlib import Path

from sparsedet.ledger import Ledger
from sparsedet.loop.live_reviews import reviewed_places
from sparsedet.loop.workspace import Workspace


class ReviewedProjects:
    """The projects in which a workspace's boxes are reviewed.

    Args:
        workspace: its folder; without one, there are no such projects.
        url: the server; projects of other servers are left out.

    Attributes:
        known: all that the ledger has had so far.
    """

    def __init__(self, workspace: Path | None, url: str) -> None:
        self._workspace = None if workspace is None else Workspace(workspace)
        self._url = url
        self._read: tuple[int, int] | None = None
        """Time and size of the ledger file that was last read."""
        self.known: list[str] = []

    def look(self) -> list[str]:
        """Return the projects that are new since the last look, cheaply if nothing changed.

        Raises:
            SparseDetError: if the ledger can't be read.
        """
        if self._workspace is None:
            return []
        try:
            stat = self._workspace.ledger.stat()
        except FileNotFoundError:
            return []
        state = (stat.st_mtime_ns, stat.st_size)
        if state == self._read:
            return []
        with closing(Ledger(self._workspace.ledger)) as ledger:
            places = reviewed_places(ledger, self._workspace.settings(), self._url)
        found = {project for place in places for project in (place.project, place.review_project)}
        # Not lots, which nobody reviews in a project of their own.
        new = sorted(filter(str.isdigit, found.difference(self.known)), key=int)
        self.known += new
        self._read = state
        return new
