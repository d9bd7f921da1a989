"""The state of a workspace: figures of its rounds, from the ledger and the round folders."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparsedet.annotations.class_marks import ClassMarks
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, OutcomeCounts, ReviewerCounts, RoundCounts
from sparsedet.loop.last_reading import LastReading, last_reading
from sparsedet.loop.ledger_rebuild import is_lost
from sparsedet.loop.lot_file import RoundLot, all_lots
from sparsedet.loop.round_files import read_estimate, read_evaluation
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_report import RoundReport, report_of, reviewed_since_push
from sparsedet.loop.settings import read_settings
from sparsedet.loop.suspicions import SuspicionCounts, count_suspicions
from sparsedet.loop.validation import Labelled, what_ap_takes
from sparsedet.loop.workspace import Workspace
from sparsedet.reading import read_json
from sparsedet.reviews import AnnotationRule
from sparsedet.wording import counted


class NothingYetError(SparseDetError):
    """A workspace has neither rounds nor pushes; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ClassStatus:
    """Objects of a class, by a round's last estimate."""

    boxes: int
    """Those with a box."""
    missing: float
    """Expected number of those without one ..."""
    interval: tuple[float, float] | None
    """... and the bounds of its 90 % interval; None: an older version made the estimate."""


@dataclass(frozen=True, slots=True)
class EstimateStatus:
    """How complete the annotations are, by a round's last estimate."""

    text: str
    """As a sentence."""
    share: float
    """Share of objects that have a box, 0 to 1."""
    low: float
    high: float
    """Bounds of the share's 90 % interval."""
    by_class: Mapping[str, ClassStatus]
    """By category name."""


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """Figures of one round."""

    round: int | None
    """None: outside of rounds."""
    annotations: int | None
    """Number of boxes that the round began with; None before the pull."""
    outcomes: OutcomeCounts
    """Outcomes of the mined boxes that were pushed, and of boxes drawn by its reviewers."""
    reviewed_images: int
    seconds: float
    """Time that reviewers spent on its images."""
    ap50: float | None
    """AP of its model, 0 to 100; None if it was not measured."""
    estimate: EstimateStatus | None = None
    """None before mining, and for rounds of older versions."""
    next_step: str | None = None
    """The step at which an unfinished round resumes; None once its boxes are up for review."""
    marks: ClassMarks | None = None
    """Complete images and classes in its annotations; None before the pull."""
    labelled: Labelled | None = None
    """Images with annotations; None before the pull."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """Figures of all rounds of a workspace."""

    rounds: tuple[RoundStatus, ...] = ()
    """Oldest first; pushes outside of rounds come last."""
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    """Totals over all mined and drawn boxes, with counts per class."""
    reviewers: tuple[ReviewerCounts, ...] = ()
    """All reviewers, by name."""
    suspicions: SuspicionCounts = field(default_factory=SuspicionCounts)
    """Outcomes of annotations marked as suspicious."""
    skipped_images: int = 0
    """Images waiting for a reviewer, skipped by everyone who opened them."""
    lots: tuple[RoundLot, ...] = ()
    """Boxes accepted by sample, over all rounds; most workspaces have none."""
    ledger_is_lost: bool = False
    """Whether rounds were pushed but the ledger is missing or empty: no mined box is counted."""
    was_pushed: bool = False
    """Whether anything was ever pushed, by the ledger."""
    reading: LastReading | None = None
    """When reviews were last read; None: never, or unknown."""
    choice: str = ""
    """The part of the project worked on, in words; empty: all of it."""
    ap_takes: str = ""
    """What is missing for an average precision, if no round has one; empty: nothing."""
    up: RoundReport | None = None
    """How far the reviews of the newest round are; None if it is unfinished, or not known."""

    @property
    def estimate(self) -> EstimateStatus | None:
        """The newest completeness estimate."""
        return next((e.estimate for e in reversed(self.rounds) if e.estimate is not None), None)

    @property
    def marks(self) -> ClassMarks | None:
        """Complete images and classes in the newest annotations."""
        return next((entry.marks for entry in reversed(self.rounds) if entry.marks), None)

    @property
    def reviewed_images(self) -> int:
        """Number of reviewed images, counted once per round."""
        return sum(entry.reviewed_images for entry in self.rounds)

    @property
    def seconds(self) -> float:
        """Time that reviewers spent."""
        return sum((entry.seconds for entry in self.rounds), 0.0)


def read_status(workspace: Workspace) -> WorkspaceStatus:
    """Read the status of a workspace, without any request to its annotation tool.

    Raises:
        NothingYetError: when there are neither rounds nor pushes.
        SparseDetError: when a file is broken.
    """
    folders = {folder.number: folder for folder in workspace.all_rounds()}
    outcomes, reviewers, skipped = OutcomeCounts(), tuple[ReviewerCounts, ...](), 0
    suspicions = SuspicionCounts()
    was_pushed, reading = False, None
    counts: dict[int | None, RoundCounts] = {}
    # There is no ledger before the first push, and reading must not create one.
    if workspace.ledger.exists():
        rule = annotation_rule(workspace)
        with closing(Ledger(workspace.ledger)) as ledger:
            outcomes = ledger.counts(rule)
            counts = {entry.round: entry for entry in ledger.rounds(rule)}
            suspicions = count_suspicions(workspace, ledger, rule)
            reviewers, skipped = tuple(ledger.reviewers()), len(ledger.skipped_images())
            was_pushed = bool(ledger.pushes())
        reading = last_reading(workspace.ledger) if was_pushed else None
    numbers = sorted({*folders, *(number for number in counts if number is not None)})
    rounds = [
        _round_status(counts.get(number) or RoundCounts(number), workspace.round(number))
        for number in numbers
    ]
    if None in counts:
        rounds.append(_round_status(counts[None], None))
    if not rounds:
        raise NothingYetError(f"{workspace.root}: {_without_rounds(workspace)}")
    return WorkspaceStatus(
        tuple(rounds),
        outcomes,
        reviewers,
        suspicions,
        skipped,
        tuple(lot for _, lot in all_lots(workspace)),
        is_lost(workspace),
        was_pushed,
        reading,
        _choice(workspace),
        _ap_takes(workspace, rounds),
        _up(workspace),
    )


def _without_rounds(workspace: Workspace) -> str:
    if workspace.settings_file.is_file():
        return f"no round yet: run `sparsedet round {workspace.root}`"
    if workspace.ledger.exists():
        return "nothing has been pushed yet; see `sparsedet push`"
    return (
        "neither rounds nor a ledger: `sparsedet init` creates a workspace, `sparsedet round` "
        "starts its first round"
    )


def _up(workspace: Workspace) -> RoundReport | None:
    folders = workspace.all_rounds()
    if not folders or not workspace.settings_file.is_file() or is_lost(workspace):
        return None
    newest = folders[-1]
    if newest.next_step is not None or not newest.known.exists():
        return None
    with closing(Ledger(workspace.ledger)) as ledger:
        reviewed = reviewed_since_push(ledger, newest)
    report = report_of(newest, "waiting", reviewed=reviewed)
    stop_at = read_settings(workspace.settings_file).rounds.stop_at
    return replace(report, state="finished") if report.is_finished(stop_at) else report


def _choice(workspace: Workspace) -> str:
    path = workspace.settings_file
    return str(read_settings(path).source.choice) if path.is_file() else ""


def annotation_rule(workspace: Workspace) -> AnnotationRule:
    """Return which review counts if several people reviewed an image.

    Raises:
        SparseDetError: when the settings are invalid; a workspace may have none.
    """
    path = workspace.settings_file
    return read_settings(path).source.annotations if path.is_file() else "ground-truth-first"


def _ap_takes(workspace: Workspace, rounds: Sequence[RoundStatus]) -> str:
    """Return what is missing for an average precision; empty: nothing, or there is one."""
    folders = workspace.all_rounds()
    if not folders or not workspace.settings_file.is_file():
        return ""
    if any(entry.ap50 is not None for entry in rounds):
        return ""
    labelled = next((entry.labelled for entry in reversed(rounds) if entry.labelled), None)
    settings = read_settings(workspace.settings_file)
    return what_ap_takes(settings.validation, labelled, folders[-1])


def _round_status(counts: RoundCounts, folder: RoundFolder | None) -> RoundStatus:
    annotations, marks, labelled = (
        _annotations(folder.annotations) if folder else (None, None, None)
    )
    return RoundStatus(
        round=counts.round,
        annotations=annotations,
        outcomes=counts.outcomes,
        reviewed_images=counts.reviewed_images,
        seconds=counts.seconds,
        ap50=read_evaluation(folder).get("AP50") if folder else None,
        estimate=_estimate(folder) if folder else None,
        next_step=folder.next_step if folder else None,
        marks=marks,
        labelled=labelled,
    )


def _annotations(
    path: Path,
) -> tuple[int, ClassMarks, Labelled] | tuple[None, None, None]:
    """Return a file's number of annotations, and its complete classes and images."""
    if not path.exists():
        return None, None, None
    content = read_json(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise SparseDetError(f"{path}: not a list of annotations")
    return len(annotations), ClassMarks.of_file(content), Labelled.of_file(content)


def _estimate(folder: RoundFolder) -> EstimateStatus | None:
    if (content := read_estimate(folder)) is None:
        return None
    return EstimateStatus(
        text=content["text"],
        share=content["share"],
        low=content["low"],
        high=content["high"],
        by_class={name: _of_class(own) for name, own in content["by_class"].items()},
    )


def _of_class(content: Mapping[str, Any]) -> ClassStatus:
    low, high = content.get("missing_low"), content.get("missing_high")
    interval = None if low is None or high is None else (low, high)
    return ClassStatus(content["boxes"], content["missing"], interval)


def skipped_line(images: int) -> str:
    """Return a note on skipped images."""
    return (
        f"{counted(images, 'image was', 'images were')} skipped in review: mined boxes stay "
        "pending (in Label Studio, delete the skipped annotation to put the task back into the "
        "queue)"
    )


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
