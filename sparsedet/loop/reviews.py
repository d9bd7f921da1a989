"""Reading the reviews of everything that was pushed, wherever it was pushed to."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparsedet.errors import PlaceGoneError, ToolError
from sparsedet.ledger import Ledger, Place, Source
from sparsedet.loop.last_reading import LastReading, ReadPlace, name_of, write_reading
from sparsedet.plugins import load_integration
from sparsedet.push_modes import Progress, PushMode, no_progress
from sparsedet.reviews import AnnotationRule
from sparsedet.tool import DEFAULT_OPTIONS, AnnotationTool

if TYPE_CHECKING:
    from sparsedet.loop.settings import Settings
    from sparsedet.loop.settings import Source as SourceSettings
    from sparsedet.loop.workspace import Workspace

Say = Callable[[str], None]


class Connections:
    """Finds the connection to each place that was pushed to.

    Args:
        settings: the workspace's, where there is one.
        source: the connection to its source, where that is made already.
        url: takes the place of every place's own address.
        owner: the workspace's name in marks on servers.
    """

    def __init__(
        self,
        settings: "Settings | None" = None,
        source: AnnotationTool | None = None,
        *,
        url: str | None = None,
        owner: str | None = None,
    ) -> None:
        options = settings.tool_options(owner) if settings else DEFAULT_OPTIONS
        self._options = replace(options, named_url=url is not None)
        self._url = url
        self._known: dict[tuple[str, str], AnnotationTool] = {}
        if settings and source:
            self._known[settings.source.tool, source.url] = source

    def tool(self, source: Source) -> AnnotationTool:
        """Return the connection to an annotated project's server."""
        server = source.tool, self._url or source.url
        if server not in self._known:
            self._known[server] = load_integration(source.tool)(server[1], self._options)
        return self._known[server]

    def ledger_source(self, source: "SourceSettings") -> Source:
        """Return the name that the ledger has for a project, by its server's present address."""
        named = Source(source.tool, source.url, source.project)
        return replace(named, url=self.tool(named).url)

    def mode(self, place: Place) -> PushMode:
        """Return the push mode of a place of a tool."""
        assert place.mode != "sampled", f"{place.review_project} is at no tool"
        return self.tool(place.source).push_modes[place.mode]


def note_address(workspace: "Workspace", settings: "Settings", source: AnnotationTool) -> None:
    """Record where the source's server is now: it may have moved since the last push.

    What was pushed is then looked for at the new address, and no key is sent to the old one.
    """
    if workspace.ledger.is_file():
        with closing(Ledger(workspace.ledger)) as ledger:
            ledger.relocate(settings.source.tool, settings.source.project, source.url)


def collect_reviews(
    ledger: Ledger,
    connections: Connections,
    rule: AnnotationRule = "ground-truth-first",
    *,
    say: Say,
    progress: Progress = no_progress,
) -> None:
    """Read every review of whatever was pushed into the ledger, which settles its boxes.

    Where a review project was deleted, its outcomes stay, and boxes that waited there are free to
    go up again; that is said once. That everything was read is recorded; see `last_reading`.
    """
    places, begun = ledger.places(), datetime.now(UTC)
    read: list[ReadPlace] = []
    for place in places:
        mode = connections.mode(place)
        try:
            # Whoever reviews from here on is newer than what is read.
            state = mode.review_state(place.review_project)
        except ToolError:  # the next call says what is wrong, and of a deleted project that it is
            state = ""
        try:
            found = mode.reviews(place.review_project, ledger.pushed_images(place), progress)
        except PlaceGoneError as error:
            ledger.mark_gone(place)
            say(
                f"{error}; what was reviewed there is kept, and boxes that nobody had reviewed go "
                "up again with the next push"
            )
            continue
        ledger.record_reviews(place, found, rule)
        read.append(ReadPlace(name_of(place), state, found.tasks))
    if places:
        write_reading(ledger.path, read, begun)


def unread_places(
    ledger: Ledger, connections: Connections, reading: LastReading | None
) -> list[Place]:
    """Return the places where something was reviewed, or may have been, since they were read.

    It takes one request for each place, and reads no review.

    Raises:
        ToolError: when a place can't be asked.
    """
    found = []
    for place in ledger.places():
        known = reading.of(place) if reading else None
        state = connections.mode(place).review_state(place.review_project)
        if known is None or known.state != state:
            found.append(place)
    return found
