"""Check that the annotation tool has what the ledger says was pushed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding
from sparsedet.errors import PlaceGoneError
from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.loop.reviews import Connections
from sparsedet.push_modes import OnOffer, PushedImage
from sparsedet.reviews import Changes, SourceState
from sparsedet.wording import counted


def check_places(checked: Checked, copy: Path, connections: Connections) -> Iterator[Finding]:
    """Check every place that was pushed to. Read-only: the next push repairs it.

    Args:
        checked: the workspace.
        copy: of its ledger.
        connections: to the annotation tools.

    Raises:
        ToolError: when a server can't be reached.
    """
    with closing(Ledger(copy)) as ledger:
        known = {box.region_id: box for box in ledger.boxes()}
        for number, place in enumerate(places := ledger.places()):
            checked.progress("asking the annotation tool", number, len(places))
            boxes = [box for box in known.values() if box.push.place == place]
            yield from _Place(checked, place, boxes, ledger.pushed_images(place)).check(
                connections, known
            )
        checked.progress("asking the annotation tool", len(places), len(places))


class _Place:
    """A place that was pushed to, and the ledger's record of it."""

    def __init__(
        self,
        checked: Checked,
        place: Place,
        boxes: Sequence[LedgerBox],
        pushed: Sequence[PushedImage],
    ) -> None:
        self._checked = checked
        self._place = place
        self._boxes = boxes
        self._pushed = pushed
        self._where = f"{place.mode} {place.review_project} at {place.url}"
        # Workspaces with rounds: only these know which images to show.
        self._again = checked.command("round")
        if not checked.rounds:
            self._again = checked.command.push

    def check(self, connections: Connections, known: dict[str, LedgerBox]) -> Iterator[Finding]:
        """Compare the ledger with the place's content.

        Args:
            connections: to the tools.
            known: the boxes of the whole ledger by region id.
        """
        mode = connections.mode(self._place)
        try:
            offer = mode.on_offer(self._place.review_project, self._pushed)
            found = mode.reviews(self._place.review_project, self._pushed)
        except PlaceGoneError as error:
            review = self._checked.command("review")
            what = f"was deleted ({error}); reading reviews will record that"
            yield Finding("place-gone", self._where, what, review)
            return
        reviewed = {
            id
            for review in found.reviews
            for id in (*review.shown, *(region.region_id for region in review.regions))
        }
        waiting = [box for box in self._boxes if box.outcome == "pending" and not box.is_reviewed]
        gone = self._gone(connections, {box.image_tool_id for box in waiting})
        yield from self._deleted_images(waiting, gone)
        left = [box for box in waiting if box.image_tool_id not in gone]
        yield from self._not_up(left, {*offer.boxes, *offer.busy, *reviewed})
        yield from self._too_much(offer, known)

    def _not_up(self, waiting: Iterable[LedgerBox], up: set[str]) -> Iterator[Finding]:
        """Find pending boxes that are not shown to any reviewer."""
        images: dict[str, list[str]] = {}
        for box in waiting:
            if box.region_id not in up:
                images.setdefault(box.file_name, []).append(box.region_id)
        for file_name, ids in images.items():
            what = f"{_boxes(ids)} of {file_name}: pending, but not up for review"
            yield self._finding("not-up", what)

    def _too_much(self, offer: OnOffer, known: dict[str, LedgerBox]) -> Iterator[Finding]:
        """Find boxes that are up twice, withdrawn or unknown to the ledger, and empty tasks."""
        for id, shown in offer.boxes.items():
            if len(shown) > 1:
                yield self._finding("up-twice", f"mined box {id} is up twice: {', '.join(shown)}")
        for task in offer.empty:
            yield self._finding("empty-task", f"{task} shows nothing: its push was interrupted")
        for other in offer.doubles:
            what = f"a second one exists for the same project, {other}; delete it if it is empty"
            yield Finding("second-place", self._where, what, severity="warning")
        shown_ids = offer.boxes.keys() - offer.busy
        if unknown := sorted(shown_ids - known.keys()):
            what = f"{_boxes(unknown, 'is', 'are')} up but not in the ledger"
            yield self._finding("not-in-ledger", what)
        withdrawn = [
            id for id in sorted(shown_ids & known.keys()) if known[id].outcome == "withdrawn"
        ]
        if withdrawn:
            what = f"{_boxes(withdrawn, 'is', 'are')} up although withdrawn"
            yield self._finding("still-up", what)

    def _gone(self, connections: Connections, images: set[str]) -> set[str]:
        """Return the images that the annotated project no longer has."""

        def nothing(state: SourceState) -> Changes:
            return Changes()

        tool = connections.tool(self._place.source)
        plans = dict.fromkeys(sorted(images), nothing)
        # A dry-run merge reports for each image whether it exists.
        applied = tool.merge(self._place.project, plans, sizes={}, keep=None)
        return {one.tool_id for one in applied if one.state is None}

    def _deleted_images(self, waiting: Iterable[LedgerBox], gone: set[str]) -> Iterator[Finding]:
        boxes = [box for box in waiting if box.image_tool_id in gone]
        if boxes:
            images = sorted({box.file_name for box in boxes})
            absent = counted(
                len(images),
                "image with pending boxes is",
                "images with pending boxes are",
            )
            what = f"{absent} no longer in project {self._place.project}, such as {images[0]}"
            pull = self._checked.command.pull
            yield Finding("image-deleted", self._where, what, pull, severity="info")

    def _finding(self, kind: str, what: str) -> Finding:
        return Finding(kind, self._where, what, self._again)


def _boxes(ids: Sequence[str], one: str = "", several: str = "") -> str:
    """Return a number of boxes in words, followed by a verb for one or for several."""
    name = f"mined box ({ids[0]})"
    return counted(len(ids), f"{name} {one}".rstrip(), f"mined boxes {several}".rstrip())
