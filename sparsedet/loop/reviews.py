"""Reading the reviews of everything that was pushed, wherever it was pushed to.

What several reviews of an image say together is folded into one `Verdict`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from sparsedet.ledger import Ledger, Place
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.plugins import load_integration
from sparsedet.tool import AnnotationTool, PushedImage, ReviewedImage, ReviewedRegion


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
    """Record where the source's server is now: it may have moved since the last push.

    What was pushed is then looked for at the new address, and no key is sent to the old one.
    """
    if workspace.ledger.is_file():
        with closing(Ledger(workspace.ledger)) as ledger:
            ledger.relocate(settings.source.tool, settings.source.project, source.url)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the boxes of an image should be; what it does not name stays as it is."""

    kept: Mapping[str, ReviewedRegion]
    """Region id -> the box as the last reviewer who saw it left it."""
    gone: frozenset[str]
    """Ids of boxes that were deleted."""
    drawn: frozenset[str]
    """The part of `kept` that no reviewer was shown before somebody drew it."""
    complete: bool
    """The last reviewer marked the image as complete: every object has a box."""


def fold(reviews: Sequence[ReviewedImage]) -> Verdict:
    """Return the verdict of an image's reviews, oldest first: later ones overrule earlier ones.

    Boxes that were left unsure are in none of its parts.
    """
    kept: dict[str, ReviewedRegion] = {}
    gone: set[str] = set()
    drawn: set[str] = set()
    shown: set[str] = set()
    for review in reviews:
        regions = {region.region_id: region for region in review.regions}
        for region_id in review.shown - regions.keys():
            kept.pop(region_id, None)
            gone.add(region_id)
        drawn |= regions.keys() - review.shown - shown
        shown |= review.shown | regions.keys()
        for region_id, region in regions.items():
            gone.discard(region_id)
            kept.pop(region_id, None)
            if not region.unsure:
                kept[region_id] = region
    return Verdict(
        kept=kept,
        gone=frozenset(gone),
        drawn=frozenset(drawn & kept.keys()),
        complete=bool(reviews) and reviews[-1].complete,
    )


@dataclass(frozen=True, slots=True)
class PlaceReviews:
    """Everything that was reviewed at a place."""

    place: Place
    pushed: Sequence[PushedImage]
    reviewed: Sequence[ReviewedImage]
    """Of an image, oldest first."""


def collect_reviews(
    ledger: Ledger, connect: Callable[[Place], AnnotationTool]
) -> list[PlaceReviews]:
    """Read every review of whatever was pushed, and settle the ledger; return the reviews."""
    collected: list[PlaceReviews] = []
    for place in ledger.places():
        pushed = ledger.pushed_images(place)
        reviewed = connect(place).reviewed(place.review_project, mode=place.mode, pushed=pushed)
        ledger.record_reviews(place, reviewed)
        collected.append(PlaceReviews(place, pushed, reviewed))
    return collected
