"""The state of a workspace: its rounds in numbers, from the ledger and the rounds' folders."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sparsedet.annotations.class_marks import ClassMarks
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, OutcomeCounts, ReviewerCounts, RoundCounts
from sparsedet.loop.last_reading import LastReading, last_reading
from sparsedet.loop.ledger_rebuild import is_lost
from sparsedet.loop.lot_file import RoundLot, all_lots
from sparsedet.loop.round_files import read_estimate, read_evaluation
from sparsedet.loop.settings import read_settings
from sparsedet.loop.suspicions import SuspicionCounts, count_suspicions
from sparsedet.loop.validation import Labelled, what_ap_takes
from sparsedet.loop.workspace import RoundFolder, Workspace
from sparsedet.reading import read_json
from sparsedet.reviews import AnnotationRule


@dataclass(frozen=True, slots=True)
class EstimateStatus:
    """How complete the annotations are, as a round estimated it last."""

    text: str
    """In words."""
    share: float
    """Of the objects, those that have a box, 0 to 1."""
    low: float
    high: float
    """Ends of the 90 % interval of the share."""
    by_class: Mapping[str, tuple[int, float]]
    """Category name -> objects with a box, and expected number without one."""


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One round in numbers."""

    round: int | None
    """None: outside of rounds."""
    annotations: int | None
    """Boxes that the round began with; None before it has pulled them."""
    outcomes: OutcomeCounts
    """What became of the boxes that its model mined, as far as they are pushed; and what its
    reviewers drew."""
    reviewed_images: int
    seconds: float
    """Time that reviewers spent on these images."""
    ap50: float | None
    """Of its model, 0 to 100; None where it was not measured."""
    estimate: EstimateStatus | None = None
    """None before it has mined, and of rounds of an older sparsedet."""
    next_step: str | None = None
    """The step an unfinished round resumes with; None once its boxes are up for review."""
    marks: ClassMarks | None = None
    """What its annotations say of complete images and classes; None before it has pulled them."""
    labelled: Labelled | None = None
    """How many images have annotations; None before it has pulled them."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """All rounds of a workspace in numbers."""

    rounds: tuple[RoundStatus, ...] = ()
    """The oldest first; what was outside of rounds comes last."""
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    """Of all mined and drawn boxes, with the counts of each class."""
    reviewers: tuple[ReviewerCounts, ...] = ()
    """Everybody whose name is on a review, by name."""
    suspicions: SuspicionCounts = field(default_factory=SuspicionCounts)
    """What became of annotations that were marked because they look wrong."""
    skipped_images: int = 0
    """Images that wait for a reviewer and were skipped by all who opened them."""
    lots: tuple[RoundLot, ...] = ()
    """Boxes that are accepted by sample, of all rounds; most workspaces have none."""
    ledger_is_lost: bool = False
    """Rounds were pushed, but the ledger is missing or empty: no mined box is counted."""
    was_pushed: bool = False
    """Whether anything ever was, as far as the ledger knows."""
    reading: LastReading | None = None
    """When reviews were last read; None: never, or it is not known."""
    choice: str = ""
    """What of the project is worked on, in words; empty: all of it."""
    ap_takes: str = ""
    """What it takes to have an average precision, where no round has one; empty: nothing."""

    @property
    def estimate(self) -> EstimateStatus | None:
        """The newest estimate of how complete the annotations are."""
        return next((e.estimate for e in reversed(self.rounds) if e.estimate is not None), None)

    @property
    def marks(self) -> ClassMarks | None:
        """What the newest annotations say of complete images and classes."""
        return next((entry.marks for entry in reversed(self.rounds) if entry.marks), None)

    @property
    def reviewed_images(self) -> int:
        """Images reviewed, once for each round in which they were."""
        return sum(entry.reviewed_images for entry in self.rounds)

    @property
    def seconds(self) -> float:
        """Time that reviewers spent."""
        return sum((entry.seconds for entry in self.rounds), 0.0)


def read_status(workspace: Workspace) -> WorkspaceStatus:
    """Read the status of a workspace; nothing is asked of its annotation tool.

    Raises:
        SparseDetError: when the folder has neither rounds nor a ledger, or a file is broken.
    """
    folders = {folder.number: folder for folder in workspace.all_rounds()}
    if not folders and not workspace.ledger.exists():
        if workspace.settings_file.is_file():
            raise SparseDetError(f"{workspace.root}: no round yet; `sparsedet round` starts one")
        raise SparseDetError(
            f"{workspace.root}: neither rounds nor a ledger here; `sparsedet init` makes a "
            "workspace, `sparsedet round` starts its first round"
        )
    outcomes, reviewers, skipped = OutcomeCounts(), tuple[ReviewerCounts, ...](), 0
    suspicions = SuspicionCounts()
    was_pushed, reading = False, None
    counts: dict[int | None, RoundCounts] = {}
    # Before the first push there is no ledger, and looking must not make one.
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
    )


def _choice(workspace: Workspace) -> str:
    path = workspace.settings_file
    return str(read_settings(path).source.choice) if path.is_file() else ""


def annotation_rule(workspace: Workspace) -> AnnotationRule:
    """Return what counts where several people reviewed an image side by side.

    Raises:
        SparseDetError: when the settings are broken; a workspace may have none.
    """
    path = workspace.settings_file
    return read_settings(path).source.annotations if path.is_file() else "ground-truth-first"


def _ap_takes(workspace: Workspace, rounds: Sequence[RoundStatus]) -> str:
    """Return what it takes to have an average precision; empty: nothing, or there is one."""
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
    """Return how many annotations a file holds, and what it says of complete classes and images."""
    if not path.exists():
        return None, None, None
    content = read_json(path)
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise SparseDetError(f"{path}: no list of annotations in it")
    return len(annotations), ClassMarks.of_file(content), Labelled.of_file(content)


def _estimate(folder: RoundFolder) -> EstimateStatus | None:
    if (content := read_estimate(folder)) is None:
        return None
    return EstimateStatus(
        text=content["text"],
        share=content["share"],
        low=content["low"],
        high=content["high"],
        by_class={
            name: (own["boxes"], own["missing"]) for name, own in content["by_class"].items()
        },
    )


def skipped_line(images: int) -> str:
    """Return what becomes of skipped images, for people."""
    found = "1 image was" if images == 1 else f"{images} images were"
    return (
        f"{found} skipped in review: mined boxes stay pending (in Label Studio, delete the skipped "
        "annotation to put the task back into the queue)"
    )


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
