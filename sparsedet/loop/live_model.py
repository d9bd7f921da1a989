"""The model of a live backend: which run is served, and which detections reviewers see.

It shows what mining would: candidates not explained by any box, selected by review costs and the
calibration of the run's round. A run outside of rounds has no calibration of its own and uses the
default from other datasets.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.expected_precision import ExpectedPrecision, fit_expected_precision
from sparsedet.completeness.proposals import detection_config, proposed_boxes
from sparsedet.completeness.selection import Selection
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import RunError
from sparsedet.ledger import Ledger
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.standing import assess_round, present_annotations, selection_of
from sparsedet.loop.workspace import Workspace, enclosing
from sparsedet.mining.candidates import find_candidates
from sparsedet.mining.detect import detect
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.reviews import ReviewedRegion
from sparsedet.run_folder import RunFolder, RunInfo

Fingerprint = tuple[object, ...]
"""Equal as long as a model's files are unchanged."""

_NOTHING = Dataset((), (), ())


@dataclass(frozen=True, slots=True)
class ServedRun:
    """A run to serve, and its round, if any."""

    run: RunFolder
    workspace: Workspace | None = None
    """The workspace of `round`."""
    round: RoundFolder | None = None
    """A round with candidates, for calibration; None: no calibration."""

    def fingerprint(self) -> Fingerprint:
        """Return a value that changes with the model; costs one `stat` call.

        Raises:
            RunError: when the training has not finished.
        """
        state = self.run.finished_model().stat()
        return self.run.root, state.st_mtime_ns, state.st_size, state.st_ino


@dataclass(frozen=True)
class LiveModel:
    """A loaded model that proposes boxes on one image at a time."""

    model: nn.Module
    config: TrainingConfig
    info: RunInfo
    fitted: ExpectedPrecision
    selection: Selection

    def propose(self, dataset: Dataset, images: Path) -> tuple[MinedBox, ...]:
        """Return the boxes to show on an image, the most certain first.

        Args:
            dataset: the image and its annotations; the run's classes have the category ids of
                `info.classes`.
            images: the folder of its file.

        Raises:
            AnnotationError: when the image can't be decoded.
        """
        ids = [id for id, _ in self.info.classes]
        detections = list(detect(self.model, self.config, dataset.images, images, ids))
        candidates = find_candidates(detections, dataset)
        chances, object_chances = self.fitted.of(candidates), self.fitted.of_object(candidates)
        shown = self.selection.shows(chances, object_chances)
        return proposed_boxes(
            candidates.select(shown),
            chances[shown],
            object_chances[shown],
            dataset,
            self.info.run_id,
            dict.fromkeys(ids, 0.0),
        )


def find_served_run(run: Path | None, workspace: Workspace | None) -> ServedRun:
    """Return the run to serve: the given one, or that of the newest finished round.

    Raises:
        RunError: when there is none.
    """
    if run is not None:
        around = enclosing(run)
        rounds = around.all_rounds() if around else []
        own = next((r for r in rounds if r.run.root.resolve() == run.resolve()), None)
        if own is not None and own.candidates.exists():
            return ServedRun(RunFolder(run), around, own)
        return ServedRun(RunFolder(run))
    if workspace is None:
        raise RunError("nothing to serve: pass a run folder, or a workspace with --workspace")
    finished = [folder for folder in workspace.all_rounds() if folder.push.exists()]
    if not finished:
        raise RunError(
            f"{workspace.root}: no model to serve, no round has finished yet: run "
            f"`sparsedet round {workspace.root}` first"
        )
    return ServedRun(finished[-1].run, workspace, finished[-1])


def load_live_model(served: ServedRun, device: str) -> LiveModel:
    """Load a run's finished model, ready to propose boxes.

    Args:
        served: the run.
        device: cpu or cuda.

    Raises:
        RunError: when the run is missing, unfinished or broken.
    """
    info = served.run.info()
    config = detection_config(read_config(served.run.config).with_values({"MODEL.DEVICE": device}))
    model = build_for_inference(config.node, served.run.finished_model(), device, info.names)
    fitted, selection = _calibration(served, info)
    return LiveModel(model, config, info, fitted, selection)


def rejected_boxes(workspace: Workspace) -> Mapping[tuple[str, str], Sequence[ReviewedRegion]]:
    """Return rejected boxes, as mined, by project and tool id of the image."""
    found: dict[tuple[str, str], list[ReviewedRegion]] = {}
    if workspace.ledger.is_file():
        with closing(Ledger(workspace.ledger)) as ledger:
            for box in ledger.boxes():
                if box.outcome == "rejected":
                    found.setdefault((box.push.project, box.image_tool_id), []).append(box.mined)
    return found


def _calibration(served: ServedRun, info: RunInfo) -> tuple[ExpectedPrecision, Selection]:
    """Return the calibration of its candidates, and which of them are shown."""
    workspace, folder = served.workspace, served.round
    if workspace is None or folder is None or not folder.candidates.exists():
        ids = [id for id, _ in info.classes]
        nothing = find_candidates([], _NOTHING)
        return fit_expected_precision(nothing, ids, hidden=0), Selection(ReviewCosts())
    settings = workspace.settings()
    with closing(Ledger(workspace.ledger)) as ledger:
        present = present_annotations(workspace, settings.source.annotations, ledger)
        found = assess_round(folder, present, settings, ledger)
        return found.fitted, selection_of(settings, ledger)
