"""Connections to the annotation tools of a workspace, each made once."""

from contextlib import closing

from sparsedet.ledger import Ledger, Place
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import AnnotationTool, load_integration


class Connections:
    """Finds the connection to each place that was pushed to.

    Args:
        settings: the workspace's, where there is one.
        source: the connection to its source, where that is made already.
        url: takes the place of every place's own address.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        source: AnnotationTool | None = None,
        url: str | None = None,
    ) -> None:
        self._control = settings.review.complete_control if settings else None
        self._url = url
        self._known: dict[tuple[str, str], AnnotationTool] = {}
        if settings and source:
            self._known[settings.source.tool, source.url] = source

    def __call__(self, place: Place) -> AnnotationTool:
        """Return the connection to a place."""
        server = place.tool, self._url or place.url
        if server not in self._known:
            self._known[server] = load_integration(place.tool)(
                server[1], complete_control=self._control
            )
        return self._known[server]


def note_address(workspace: Workspace, settings: Settings, source: AnnotationTool) -> None:
    """Tell the ledger where the source's server is now: it may have moved since the last push.

    What was pushed is then looked for at the new address, and no key is sent to the old one.
    """
    if workspace.ledger.is_file():
        with closing(Ledger(workspace.ledger)) as ledger:
            ledger.relocate(settings.source.tool, settings.source.project, source.url)
