"""Read the reviews of everything that was pushed, from all places."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparsedet.errors import PlaceAwayError, PlaceGoneError, ToolError
from sparsedet.ledger import Ledger, Place, Source
from sparsedet.loop.last_reading import LastReading, ReadPlace, name_of, write_reading
from sparsedet.plugins import load_integration
from sparsedet.push_modes import Progress, PushMode, no_progress
from sparsedet.reviews import AnnotationRule
from sparsedet.tool import AnnotationTool, ToolOptions

if TYPE_CHECKING:
    from sparsedet.loop.settings import Settings
    from sparsedet.loop.settings import Source as SourceSettings
    from sparsedet.loop.workspace import Workspace

Say = Callable[[str], None]


class Connections:
    """Provides the connection to each review place.

    Args:
        settings: the workspace's settings, if there is a workspace.
        source: the connection to its source, if already open.
        url: overrides every place's own address; named by the user in this call.
        named: the address of one server, named by the user in this call.
        owner: the name of the workspace, or of the ledger without one, in marks on servers.
    """

    def __init__(
        self,
        settings: "Settings | None" = None,
        source: AnnotationTool | None = None,
        *,
        url: str | None = None,
        named: str | None = None,
        owner: str | None = None,
    ) -> None:
        self._options = settings.tool_options(owner) if settings else ToolOptions(owner=owner)
        self._url = url
        self._named = named
        self._current = settings.source if settings else None
        self._known: dict[tuple[str, str], AnnotationTool] = {}
        if settings and source:
            self._known[settings.source.tool, source.url] = source

    def tool(self, source: Source) -> AnnotationTool:
        """Return the connection to an annotated project's server."""
        url = self._url or source.url
        if (source.tool, url) not in self._known:
            options = replace(self._options, named_url=url in (self._url, self._named))
            connection = load_integration(source.tool)(url or None, options)
            self._known[source.tool, url] = connection
            self._known.setdefault((source.tool, connection.url), connection)
        return self._known[source.tool, url]

    def ledger_source(self, source: "SourceSettings") -> Source:
        """Return the ledger's name for a project, by its server's current address."""
        named = Source(source.tool, source.url, source.project)
        return replace(named, url=self.tool(named).url)

    def is_former(self, source: Source) -> bool:
        """Return whether the settings name another project by now."""
        now = self._current
        return now is not None and (now.tool, now.project) != (source.tool, source.project)

    def mode(self, place: Place) -> PushMode:
        """Return the push mode of a place of a tool."""
        assert place.mode != "sampled", f"{place.review_project} has no tool"
        return self.tool(place.source).push_modes[place.mode]


def note_address(workspace: "Workspace", settings: "Settings", source: AnnotationTool) -> None:
    """Record the current server address of the source: it may have moved since the last push.

    Pushed boxes are then looked up at the new address, and no key is sent to the old one.
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
    """Read all reviews of pushed boxes into the ledger, which settles the boxes.

    If a review project was deleted, its outcomes stay, and its pending boxes are free to be pushed
    again; that is reported once. Records that everything was read; see `last_reading`.
    """
    places, begun = ledger.places(), datetime.now(UTC)
    read: list[ReadPlace] = []
    for place in places:
        mode = connections.mode(place)
        try:
            # Reviews made from here on are newer than what is read.
            state = mode.review_state(place.review_project)
        except ToolError:  # the next call reports the error, and whether a project was deleted
            state = ""
        try:
            found = mode.reviews(place.review_project, ledger.pushed_images(place), progress)
        except (PlaceGoneError, PlaceAwayError) as error:
            # Of a project that was left for another one, nothing has to come back.
            if isinstance(error, PlaceAwayError) and not connections.is_former(place.source):
                raise
            ledger.mark_gone(place)
            say(
                f"{error}; its reviews are kept, and boxes without a review are pushed again "
                "with the next push"
            )
            continue
        ledger.record_reviews(place, found, rule)
        read.append(ReadPlace(name_of(place), state, found.tasks))
    if places:
        write_reading(ledger.path, read, begun)


def unread_places(
    ledger: Ledger, connections: Connections, reading: LastReading | None
) -> list[Place]:
    """Return the places with possible reviews since they were last read.

    Sends one request per place, and reads no review.

    Raises:
        ToolError: when a place can't be reached, and no other one has reviews.
    """
    found = []
    failed: ToolError | None = None
    for place in ledger.places():
        known = reading.of(place) if reading else None
        try:
            state = connections.mode(place).review_state(place.review_project)
        except ToolError as error:
            failed = failed or error
            continue
        if known is None or known.state != state:
            found.append(place)
    # Where others have reviewed, there is something to read in any case.
    if failed is not None and not found:
        raise failed
    return found
