"""The result of a call of `sparsedet round`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sparsedet.ledger import Ledger
from sparsedet.loop.round_files import read_estimate, read_known, read_push
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.suspicions import SuspicionCounts
from sparsedet.push_modes import ModeName
from sparsedet.reading import read_list

RoundState = Literal["pushed", "waiting", "held", "finished"]
"""`pushed`: boxes were just pushed; `waiting`: too few reviews since; `held`: the model is
guessing, and its boxes were not pushed; `finished`: the annotations are complete enough."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The state of a workspace after `Rounds.advance`."""

    round: int
    state: RoundState
    annotations: int
    """Number of boxes that the round began with."""
    mined: int
    """Number of boxes that the round's model mined."""
    up_for_review: int
    """Boxes up for review, including those of earlier rounds."""
    images: int
    """Images up for review after the push."""
    reviewed: int
    """Images reviewed or skipped since the push."""
    url: str | None
    """Where a person reviews them; None if nothing is up."""
    suspicions: str = ""
    """Outcomes of suspicious annotations, in words; empty if none was marked."""
    reason: str = ""
    """Why boxes were held."""
    estimate: str = ""
    """How complete the annotations are, in words; empty before the first mining."""
    complete: float | None = None
    """Estimated share of objects that have a box, 0 to 1."""
    sheets_url: str | None = None
    """Where the contact sheets are, if some are up in a place of their own."""
    sure_only: bool = False
    """Whether only sure boxes are up, and nothing needs to be drawn on their images."""

    @property
    def nothing_up(self) -> bool:
        """Whether a push left nothing to review."""
        is_pushed = self.state != "held"
        return is_pushed and (self.url is None or not (self.images or self.sheets_url))

    def is_finished(self, stop_at: float) -> bool:
        """Return whether the annotations are complete enough.

        Args:
            stop_at: share of the objects that should have a box, 0 to 1.
        """
        done = self.reviewed or self.nothing_up
        return bool(done and (self.complete or 0.0) >= stop_at)


def reviewed_since_push(ledger: Ledger, folder: RoundFolder) -> int:
    """Return how many images were reviewed or skipped since a round's push, by the ledger."""
    record = read_push(folder)
    # A review from before the push is no reason to start the next round.
    since = ledger.reviewed_ids() - set(record.get("judged") or read_known(folder))
    images = {box.image_tool_id for box in ledger.boxes() if box.region_id in since}
    # Older versions did not record them, and only pushed images with mined boxes.
    if "reviews" in record:
        earlier = set(record["reviews"])
        images |= {work.tool_id for work in ledger.review_work() if work.review_id not in earlier}
    skipped = ledger.skipped_images() - set(record.get("skipped_images", ()))
    return len(images | skipped)


def pushed_parts(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the records of a round's pushes in `push.json`; a further one has its mode as key."""
    return [record, *(record[mode] for mode in get_args(ModeName) if mode in record)]


def review_projects(folder: RoundFolder) -> list[str]:
    """Return where a pushed round is reviewed: its images first, then contact sheets."""
    found = (part.get("review_project") for part in pushed_parts(read_push(folder)))
    return [name for name in found if name]


def report_of(
    folder: RoundFolder,
    state: RoundState,
    *,
    reviewed: int = 0,
    reason: str = "",
    suspicions: str = "",
) -> RoundReport:
    """Return the state of a mined round."""
    record = read_push(folder) if folder.push.exists() else {}
    if not suspicions and (marked := len(record.get("suspicions", ()))):
        suspicions = SuspicionCounts(waiting=marked).in_words()
    estimate = read_estimate(folder) or {}
    sheets = record.get("sheets", {})
    return RoundReport(
        round=folder.number,
        state=state,
        annotations=len(read_list(folder.annotations, "annotations")),
        mined=record["mined"] if "mined" in record else len(read_list(folder.mined)),
        up_for_review=record.get("boxes", 0),
        images=record.get("images", 0),
        reviewed=reviewed,
        url=record.get("url"),
        sheets_url=sheets.get("url") if sheets.get("images") else None,
        suspicions=suspicions,
        reason=reason,
        estimate=estimate.get("text", ""),
        complete=estimate.get("share"),
        sure_only=record.get("sure_only", False),
    )
