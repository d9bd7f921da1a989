"""Active annotation: rounds of pull, split, train, mine, push and review, each step resumable.

Each step writes its result last and atomically, and is skipped if that file exists. So a round
interrupted anywhere resumes at that step, and ends with the same files as an uninterrupted one.
"""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from sparsedet.annotations import Dataset, write_coco
from sparsedet.annotations.mined_boxes import read_mined
from sparsedet.atomic_io import remove_half_written, write_json
from sparsedet.completeness.budget import Budget
from sparsedet.errors import SparseDetError, TrainingError
from sparsedet.ledger import Ledger
from sparsedet.loop.guessing import guessing
from sparsedet.loop.ledger_rebuild import rebuild
from sparsedet.loop.lots import collect_and_settle
from sparsedet.loop.new_classes import note_new_classes
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.pulling import pull_with_reviews
from sparsedet.loop.reviews import Connections, Say, note_address
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_mining import mine_round
from sparsedet.loop.round_options import NO_OPTIONS, RoundOptions, options_of, write_options
from sparsedet.loop.round_push import push_round
from sparsedet.loop.round_report import RoundReport, report_of, reviewed_since_push
from sparsedet.loop.round_training import RoundTraining
from sparsedet.loop.settings import NO_BUDGET, Settings
from sparsedet.loop.standing import write_estimate
from sparsedet.loop.suspicions import count_suspicions
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.push_modes import Progress, no_progress
from sparsedet.run_folder import with_common_classes
from sparsedet.tool import AnnotationTool
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.wording import counted, one_of

Confirm = Callable[[str], bool]
"""Asks the user; False without one."""


class Rounds:
    """The rounds of a workspace, run against its annotation tool.

    The caller holds the workspace's lock.

    Args:
        workspace: A workspace with a `sparsedet.toml`.
        tool: the connection to its source.
        say: receives messages for the user, line by line.
        callbacks: callbacks of trainings.
        progress: progress of everything else.
        confirm: asks whether to start a round on few reviews.
    """

    def __init__(
        self,
        workspace: Workspace,
        tool: AnnotationTool,
        *,
        say: Say,
        callbacks: Callbacks | None = None,
        progress: Progress = no_progress,
        confirm: Confirm = lambda question: False,
    ) -> None:
        self.workspace = workspace
        self.settings: Settings = workspace.settings()
        self.tool = tool
        self.say = say
        self.progress = progress
        self.confirm = confirm
        self.callbacks = callbacks or Callbacks()
        owner = owner_id(workspace.root)
        self._connections = Connections(self.settings, tool, owner=owner)
        self._rule = self.settings.source.annotations
        review = self.settings.review
        if not tool.push_modes.keys() >= set(review.modes):
            raise SparseDetError(
                f'{workspace.settings_file}: [review] mode = "{review.mode}" is not '
                f"supported by {self.settings.source.tool}; use {one_of(tool.push_modes)}"
            )
        if rebuilt := rebuild(workspace, self.settings):
            say(rebuilt)
        if self.settings.mining.quantile is not None:
            say(
                f"{workspace.settings_file}: [mining] quantile is no longer used; see "
                "target_precision in a file that `sparsedet init` writes"
            )
        note_address(workspace, self.settings, tool)

    def advance(
        self,
        *,
        force: bool = False,
        restart: bool = False,
        push_anyway: bool = False,
        take_over: bool = False,
        budget: Budget | None = None,
        options: RoundOptions = NO_OPTIONS,
    ) -> RoundReport:
        """Finish the current round; or collect its reviews and run the next one.

        Args:
            force: start the next round regardless of the number of reviews.
            restart: start the current round over, with a fresh pull.
            push_anyway: push even if the model is guessing.
            take_over: take the project over from another workspace or push mode.
            budget: limits the queue, or the sheets; None: as in the settings.
            options: options of the round that this call runs or begins.

        Raises:
            SparseDetError: for invalid settings, before the round does anything.
        """
        if budget is not None and self.settings.review.mode == "draft":
            raise SparseDetError(f"{self.workspace.settings_file}: {NO_BUDGET}")
        begun = self.workspace.all_rounds()
        current = begun[-1] if begun else self.workspace.round(1)
        if current.push.exists():
            waiting = self.collect(current)
            if not force:
                if waiting.is_finished(self.settings.rounds.stop_at):
                    return replace(waiting, state="finished")
                if not self._is_reviewed_enough(waiting):
                    return waiting
            current = self.workspace.round(current.number + 1)
        elif not restart:
            options = options_of(current, options, self.settings, self.say)
        training = self._training_with(options)
        if restart and not current.push.exists():
            _discard(current)
        # Check early what a push may be refused for, not after hours of training.
        for mode in self.settings.review.modes:
            self.tool.push_modes[mode].prepare(self.settings.source.project, take_over=take_over)
        write_options(options, current)
        for name, result, step in (
            ("pull", current.annotations, partial(self._pull, training)),
            ("split", current.train, training.split),
            ("train", current.run.model, training.train),
            ("evaluate", current.evaluation, training.evaluate),
            ("mine", current.mined, partial(self._mine, training.device)),
        ):
            if not result.exists() and (name != "evaluate" or training.is_evaluated(current)):
                self.say(f"round {current.number}: {name}")
                step(current)
        if not current.push.exists():
            if not push_anyway and (reason := self._guessing(current)):
                return report_of(current, "held", reason=reason)
            self.say(f"round {current.number}: push")
            self._push(current, budget)
        pushed = report_of(current, "pushed")
        if pushed.is_finished(self.settings.rounds.stop_at):
            return replace(pushed, state="finished")
        return pushed

    def collect(self, folder: RoundFolder) -> RoundReport:
        """Collect the reviews since a round's push; return how far they are."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            self._collect(ledger)
            write_json(folder.review, asdict(ledger.counts(self._rule)), indent=1)
            reviewed = reviewed_since_push(ledger, folder)
            write_estimate(self.workspace, self.settings, ledger)
            suspicions = count_suspicions(self.workspace, ledger, self._rule).in_words()
        return report_of(folder, "waiting", reviewed=reviewed, suspicions=suspicions)

    def refresh(self) -> Path:
        """Pull, and apply all reviews so far; return the workspace's annotation file."""
        write_coco(self._pulled(), self.workspace.annotations)
        return self.workspace.annotations

    def _is_reviewed_enough(self, waiting: RoundReport) -> bool:
        if not waiting.reviewed:
            return False
        least = self.settings.review.min_reviewed
        share = waiting.reviewed / max(waiting.images, 1)
        if share >= least:
            return True
        return self.confirm(
            f"{waiting.reviewed} of {counted(waiting.images, 'image')} reviewed since the last "
            f"push, less than {least:.0%} ([review] min_reviewed). Start the next round?"
        )

    def _collect(self, ledger: Ledger) -> None:
        collect_and_settle(
            self.workspace,
            ledger,
            self._connections,
            self._rule,
            say=self.say,
            progress=self.progress,
        )

    def _training_with(self, options: RoundOptions) -> RoundTraining:
        return RoundTraining(
            self.workspace,
            options.applied(self.settings),
            say=self.say,
            callbacks=self.callbacks,
            progress=self.progress,
        )

    def _pull(self, training: RoundTraining, folder: RoundFolder) -> None:
        dataset = self._pulled()
        if all(box.iscrowd for box in dataset.boxes):
            # Before anything is written, so that the next call checks again.
            raise TrainingError(
                f"project {self.settings.source.project} has no boxes to train on yet: label some "
                "images, then run this again"
            )
        if self.settings.validation.data:
            # Also fail on this early, not after hours of training.
            names = [category.name for category in dataset.categories]
            data = training.own_evaluation_data()
            _, note = with_common_classes(names, data.with_classes(names), str(data.source))
            if note:
                self.say(note)
        with closing(Ledger(self.workspace.ledger)) as ledger:
            write_json(folder.known, {"settled": sorted(ledger.reviewed_ids())})
        write_coco(dataset, self.workspace.annotations)
        write_coco(dataset, folder.annotations)

    def _pulled(self) -> Dataset:
        pulled, feedback = pull_with_reviews(
            self.workspace,
            self.tool,
            self.settings.source,
            self._connections,
            say=self.say,
            progress=self.progress,
        )
        dataset = feedback.dataset
        images = counted(len(dataset.images), "image")
        self.say(
            f"{counted(len(dataset.boxes), 'annotation')} on {images} "
            f"({len(pulled.boxes)} in the project itself); "
            f"{counted(len(dataset.verified_negatives), 'box')} that reviewers rejected"
        )
        if note := note_new_classes(self.workspace, dataset):
            self.say(note)
        feedback.check_labels()
        return dataset

    def _mine(self, device: str, folder: RoundFolder) -> None:
        mine_round(
            self.workspace,
            folder,
            self.settings,
            device=device,
            say=self.say,
            progress=self.progress,
        )

    def _guessing(self, folder: RoundFolder) -> str | None:
        """Return why a round's boxes should not be shown to people; None if they may be."""
        dataset = read_round(folder)
        new = read_mined(folder.mined, dataset)
        with closing(Ledger(self.workspace.ledger)) as ledger:
            earlier = [entry for entry in ledger.rounds() if entry.round is not None]
        last = max(
            (entry for entry in earlier if (entry.round or 0) < folder.number),
            key=lambda entry: entry.round or 0,
            default=None,
        )
        return guessing(new, len(dataset.boxes), last.outcomes if last else None)

    def _push(self, folder: RoundFolder, budget: Budget | None) -> None:
        with closing(Ledger(self.workspace.ledger)) as ledger:
            # Reviews made while the model trained: none of these boxes is replaced.
            self._collect(ledger)
            record = push_round(
                self.workspace,
                folder,
                self.settings,
                ledger,
                self._connections,
                budget=budget,
                say=self.say,
                progress=self.progress,
            )
            write_estimate(self.workspace, self.settings, ledger)
        write_json(folder.push, record, indent=1)


def _discard(folder: RoundFolder) -> None:
    """Remove the results of a round, except what merges replaced meanwhile, the only copy of that.

    The last step's result goes first, each at once: whatever is left if this is interrupted is that
    of a round on its way, without new results next to old ones.

    Raises:
        RunError: when another process is training the round's run.
    """
    steps = (folder.mined, folder.evaluation, folder.run.root, folder.train, folder.annotations)
    others = sorted(folder.root.iterdir()) if folder.root.is_dir() else []
    with folder.run.lock():
        for path in dict.fromkeys((*steps, *others)):
            if path.exists() and path.name != "merged" and not path.name.endswith(".tmp"):
                path.rename(path.with_name(f".{path.name}.{os.getpid()}.tmp"))
    remove_half_written(folder.root)
    with suppress(OSError):  # what merges replaced is there
        folder.root.rmdir()
