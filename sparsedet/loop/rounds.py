"""Active annotation: rounds of pull, split, train, mine, push and review, each step resumable.

A step leaves its result in a file that is written last and whole, and is skipped where that file
exists. So a round that was interrupted anywhere resumes at the step that was interrupted, and ends
in the files of a round that was not.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, read_mined, write_mined
from sparsedet.atomic_io import read_json, remove_half_written, write_json
from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.errors import RunError, SparseDetError, ToolError, TrainingError
from sparsedet.ledger import Ledger, Push
from sparsedet.loop.data_sources import Data, read_path
from sparsedet.loop.feedback import round_keys, with_feedback
from sparsedet.loop.reviews import Connections, collect_reviews, note_address
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import RoundFolder, Workspace
from sparsedet.mining.mine import mine, mined_meta, without_pending
from sparsedet.run_folder import check_classes
from sparsedet.sparsify import hold_out
from sparsedet.tool import AnnotationTool, Progress, PushReport, no_progress
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import check_same_run, choose_device, run_training, start_run
from sparsedet.training.evaluation.average_precision import evaluate_run

Say = Callable[[str], None]

_MANY = 3
"""Mined boxes per annotation; a model that finds more is guessing."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The state of a workspace after `Rounds.advance`."""

    round: int
    state: Literal["pushed", "waiting"]
    """`pushed`: boxes were just pushed; `waiting`: nobody has reviewed anything since then."""
    annotations: int
    """Boxes that the round began with."""
    mined: int
    """Boxes that the round's model found missing."""
    up_for_review: int
    """With those of earlier rounds that nobody has judged yet."""
    url: str | None
    """Where a person reviews them; None when nothing is up."""


class Rounds:
    """The rounds of a workspace, run against its annotation tool.

    The caller holds the workspace's lock.

    Args:
        workspace: with a `sparsedet.toml`.
        tool: the connection to its source.
        say: receives messages for people, line by line.
        callbacks: of trainings.
        progress: of everything else.
    """

    def __init__(
        self,
        workspace: Workspace,
        tool: AnnotationTool,
        *,
        say: Say,
        callbacks: Callbacks | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.workspace = workspace
        self.settings: Settings = workspace.settings()
        self.tool = tool
        self.say = say
        self.callbacks = callbacks or Callbacks()
        self.progress = progress
        self.device = choose_device(self.settings.training.device)
        self._connections = Connections(self.settings, tool)
        mode = self.settings.review.mode
        if mode not in tool.push_modes:
            raise SparseDetError(
                f"{workspace.settings_file}: review.mode is {mode}, which "
                f"{self.settings.source.tool} can't; use {' or '.join(tool.push_modes)}"
            )
        # Wrong settings must not come to light after hours of training.
        training = self.settings.training
        load_config(training.config, training.overrides())
        if self.settings.validation.data:
            self._own_evaluation_data()
        note_address(workspace, self.settings, tool)

    def advance(self, *, force: bool = False, restart: bool = False) -> RoundReport:
        """Finish the round that is under way; or collect its reviews and run the next one.

        Args:
            force: start the next round even if nobody has reviewed anything.
            restart: start the round that is under way over, with a fresh pull.
        """
        begun = self.workspace.all_rounds()
        current = begun[-1] if begun else self.workspace.round(1)
        if current.push.exists():
            if not self.collect(current) and not force:
                return _report(current, "waiting")
            current = self.workspace.round(current.number + 1)
        elif restart:
            shutil.rmtree(current.root, ignore_errors=True)
        remove_half_written(current.root)
        for name, result, step in (
            ("pull", current.annotations, self._pull),
            ("split", current.train, self._split),
            ("train", current.run.model, self._train),
            ("evaluate", current.evaluation, self._evaluate),
            ("mine", current.mined, self._mine),
            ("push", current.push, self._push),
        ):
            if not result.exists() and (name != "evaluate" or self._is_evaluated(current)):
                self.say(f"round {current.number}: {name}")
                step(current)
        return _report(current, "pushed")

    def collect(self, folder: RoundFolder) -> bool:
        """Collect what reviewers did; return whether any box was settled since the round's pull."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            collect_reviews(ledger, self._connections)
            write_json(folder.review, asdict(ledger.counts()), indent=1)
            return bool(_settled(ledger) - set(read_json(folder.known)["settled"]))

    def refresh(self) -> Path:
        """Pull, and add what reviewers said until now; return the workspace's annotation file."""
        write_coco(self._pulled(), self.workspace.annotations)
        return self.workspace.annotations

    def _pull(self, folder: RoundFolder) -> None:
        dataset = self._pulled()
        if all(box.iscrowd for box in dataset.boxes):
            # Before anything is written, so that the next call looks again.
            raise TrainingError(
                f"project {self.settings.source.project} has no boxes yet, so there is nothing to "
                "train on; label some images, then call this again"
            )
        if self.settings.validation.data:
            # Nor this after hours of training.
            names = [category.name for category in dataset.categories]
            data = self._own_evaluation_data()
            check_classes(names, data.with_classes(names), str(data.source))
        with closing(Ledger(self.workspace.ledger)) as ledger:
            write_json(folder.known, {"settled": sorted(_settled(ledger))})
        write_coco(dataset, self.workspace.annotations)
        write_coco(dataset, folder.annotations)

    def _pulled(self) -> Dataset:
        pulled = self.tool.pull(self.settings.source.project, self.workspace.images, self.progress)
        with closing(Ledger(self.workspace.ledger)) as ledger:
            reviews = collect_reviews(ledger, self._connections)
            dataset = with_feedback(pulled, ledger.boxes(), reviews)
        self.say(
            f"{len(dataset.boxes)} annotations on {len(dataset.images)} images "
            f"({len(pulled.boxes)} in the project itself); "
            f"{len(dataset.verified_negatives)} boxes that reviewers rejected"
        )
        return dataset

    def _split(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        validation = self.settings.validation
        if validation.share:
            dataset, val = hold_out(
                dataset, validation.share, self.settings.training.seed, validation.grouping()
            )
            write_coco(val, folder.val)
        write_coco(dataset, folder.train)

    def _train(self, folder: RoundFolder) -> None:
        training = self.settings.training
        keys = round_keys(training, read_coco(folder.annotations))
        config = load_config(training.config, keys)
        if folder.run.info_file.exists():
            self._tell_changed_settings(folder, config)
        else:
            start_run(
                config,
                folder.run,
                read_coco(folder.train),
                self.workspace.images,
                source=folder.train,
                method=training.method,
                seed=training.seed,
                device=self.device,
            )
        run_training(folder.run, device=self.device, callbacks=self.callbacks)

    def _tell_changed_settings(self, folder: RoundFolder, config: TrainingConfig) -> None:
        training, info = self.settings.training, folder.run.info()
        config = config.prepared(method=info.method, seed=info.seed, classes=len(info.classes))
        try:
            check_same_run(
                folder.run, method=training.method, seed=training.seed, dataset=None, config=config
            )
        except RunError as error:
            self.say(
                f"sparsedet.toml has changed ({error}); the round continues as it began, --restart "
                "starts it over"
            )

    def _evaluate(self, folder: RoundFolder) -> None:
        if not self._is_evaluated(folder):
            return
        data = self._evaluation_data(folder)
        result = evaluate_run(
            folder.run,
            read_config(folder.run.config),
            data.with_classes(name for _, name in folder.run.info().classes),
            data.images,
            device=self.device,
            on_image=lambda done, total: self.progress("evaluating", done, total),
        )
        write_json(folder.evaluation, result.as_json(), indent=2)
        self.say(f"AP50 {result.ap50:.1f} on {result.images} images")

    def _is_evaluated(self, folder: RoundFolder) -> bool:
        return bool(self.settings.validation.data) or folder.val.exists()

    def _evaluation_data(self, folder: RoundFolder) -> Data:
        """Return what to measure on: the user's own data, else what is held out."""
        if self.settings.validation.data:
            return self._own_evaluation_data()
        return Data(read_coco(folder.val), self.workspace.images, folder.val)

    def _own_evaluation_data(self) -> Data:
        validation = self.settings.validation
        images = self.workspace.root / validation.images if validation.images else None
        return read_path(self.workspace.root / validation.data, images)

    def _mine(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        # People judge these, so more may be wrong than among those that training takes for labels.
        config = read_config(folder.run.config).with_values(
            {"SPARSEDET.MINING.QUANTILE": self.settings.mining.quantile}
        )
        result = mine(
            folder.run,
            config,
            dataset,
            self.workspace.images,
            device=self.device,
            on_image=lambda done, total: self.progress("mining", done, total),
        )
        with closing(Ledger(self.workspace.ledger)) as ledger:
            # What still waits for a reviewer is not new; it goes up again as it was.
            new = without_pending(result.mined, ledger.pending(dataset))
        meta = mined_meta(folder.run, config, dataset, replace(result, mined=new))
        write_mined(new, meta, folder.mined)
        self.say(f"mined {len(new)} boxes that no annotation explains")
        if len(new) > _MANY * len(dataset.boxes):
            self.say(
                "warning: that is many for so few annotations, and most will be wrong: the model "
                "may need a longer training (SOLVER.MAX_ITER), or [mining] quantile a higher value"
            )

    def _push(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        new = read_mined(folder.mined, dataset)
        record: dict[str, Any] = {"mined": len(new), "boxes": 0, "url": None}
        with closing(Ledger(self.workspace.ledger)) as ledger:
            ids = {box.region_id for box in new}
            # After a push that was cut off the new boxes may be in the ledger already.
            pending = [box for box in ledger.pending(dataset) if box.region_id not in ids]
            if boxes := [*new, *pending]:
                source = self.settings.source
                report = self._push_boxes(folder, dataset, boxes)
                push = Push(
                    tool=source.tool,
                    url=self.tool.url,
                    project=source.project,
                    review_project=report.review_project,
                    model_version=report.model_version,
                    mode=self.settings.review.mode,
                    round=folder.number,
                )
                for line in report.skipped_lines():
                    self.say(line)
                ledger.record_push(push, boxes, dataset, frozenset(report.skipped))
                record |= asdict(report)
                # What this very call had to do depends on where an earlier one was cut off.
                del record["created"]
        write_json(folder.push, record, indent=1)

    def _push_boxes(
        self, folder: RoundFolder, dataset: Dataset, boxes: Sequence[MinedBox]
    ) -> PushReport:
        try:
            return self.tool.push(
                self.settings.source.project,
                dataset,
                boxes,
                model_version=folder.run.info().run_id,
                mode=self.settings.review.mode,
                progress=self.progress,
            )
        except ToolError as error:
            raise ToolError(
                f"{error} (if the project changed while the round ran: `sparsedet round --restart` "
                "starts it over)"
            ) from error


def _settled(ledger: Ledger) -> set[str]:
    """Return the ids of the boxes that reviewers have judged."""
    return {box.region_id for box in ledger.boxes() if box.outcome != "pending"}


def _report(folder: RoundFolder, state: Literal["pushed", "waiting"]) -> RoundReport:
    record = read_json(folder.push)
    return RoundReport(
        round=folder.number,
        state=state,
        annotations=len(read_json(folder.annotations)["annotations"]),
        mined=record["mined"],
        up_for_review=record["boxes"],
        url=record["url"],
    )
