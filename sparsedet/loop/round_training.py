"""The training of a round: hold out images, train, evaluate."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from sparsedet.annotations import Box, read_coco, write_coco
from sparsedet.atomic_io import write_json
from sparsedet.completeness.hiding import hide
from sparsedet.config.auto import config_to_resume, config_to_start
from sparsedet.config.training_config import load_config, read_config
from sparsedet.errors import RunError
from sparsedet.ledger import Ledger, as_mined
from sparsedet.loop.data_sources import FOR_EVALUATION, Data, read_path
from sparsedet.loop.feedback import round_keys
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.reviews import Say
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import assess_round, doubtful, mined_on
from sparsedet.loop.validation import held_out_before, hold_out_some, measured_on
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress
from sparsedet.run_folder import with_common_classes
from sparsedet.sparsify import hold_out
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.time_budget import in_minutes, with_iterations
from sparsedet.training.engine.train import check_same_run, choose_device, run_training, start_run
from sparsedet.training.evaluation.average_precision import evaluate_run
from sparsedet.wording import counted


class RoundTraining:
    """The training steps of a workspace's rounds; each writes its result to the round's folder.

    Args:
        workspace: the workspace with the images.
        settings: the round's settings; invalid ones are refused here, not after hours of training.
        say: receives messages for the user.
        callbacks: callbacks of trainings.
        progress: progress of everything else.

    Raises:
        SparseDetError: for invalid configurations or evaluation data.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        say: Say,
        callbacks: Callbacks,
        progress: Progress,
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.say = say
        self.callbacks = callbacks
        self.progress = progress
        self.device = choose_device(settings.training.device)
        load_config(settings.training.config, settings.training.overrides())
        if settings.validation.data:
            self.own_evaluation_data()

    def split(self, folder: RoundFolder) -> None:
        """Hold out validation images if the settings say so, and hide annotations.

        Training treats hidden annotations like missing objects, which calibrates mining.
        """
        dataset = read_round(folder)
        validation = self.settings.validation
        if validation.share:
            dataset, val = hold_out(
                dataset, validation.share, self.settings.training.seed, validation.grouping()
            )
            write_coco(val, folder.val)
        elif self._holds_out_itself:
            before = held_out_before(self.workspace, folder.number)
            sides = hold_out_some(
                dataset, before, self.settings.training.seed, validation.grouping()
            )
            if sides is not None:
                dataset, val = sides
                write_coco(val, folder.val)
        share = self.settings.mining.hidden
        write_coco(hide(dataset, share, self.settings.training.seed), folder.train)

    def train(self, folder: RoundFolder) -> None:
        """Start the round's run, or resume it.

        From round 2 on, regions that may hold an unjudged object are ignored in proportion to that
        chance.
        """
        training = self.settings.training
        keys = round_keys(training, folder.number)
        self.progress("preparing the training", 0, 1)
        if folder.run.info_file.exists():
            self._say_changed_settings(folder, keys)
        else:
            dataset = read_coco(folder.train)
            choice = config_to_start(training.config, keys, dataset, self.device)
            if choice.reason:
                self.say(choice.reason)
            config = choice.config
            if training.minutes > 0:
                config = in_minutes(
                    config,
                    training.minutes,
                    dataset,
                    self.workspace.images,
                    method=training.method,
                    seed=training.seed,
                    device=self.device,
                    say=self.say,
                )
            start_run(
                config,
                folder.run,
                dataset,
                self.workspace.images,
                source=folder.train,
                method=training.method,
                seed=training.seed,
                device=self.device,
                ignored=self._doubtful(folder),
            )
        info, began = folder.run.info(), read_config(folder.run.config)
        steps = began.solver.max_iter
        first = "; the first ones will show how long it takes" if steps > 1 else ""
        self.say(
            f"training by {info.method!r} on {self.device}, {counted(steps, 'iteration')}{first}"
        )
        run_training(folder.run, device=self.device, callbacks=self.callbacks)

    def _doubtful(self, folder: RoundFolder) -> tuple[Box, ...]:
        """Return regions with possible unjudged objects, or left undecided by reviewers.

        The latter also on complete images: an object reviewers are unsure of is not background.
        """
        before, known = self.workspace.round(folder.number - 1), read_coco(folder.train)
        if not before.candidates.exists():
            return ()
        with closing(Ledger(self.workspace.ledger)) as ledger:
            found = assess_round(before, read_round(folder), self.settings, ledger)
            unsure = [box for box in ledger.reviewed_boxes() if not box.is_judged]
        undecided = (
            Box(0, box.image_id, box.category_id, box.xyxy) for box in as_mined(unsure, known)
        )
        mined = mined_on(before, known, self.settings)
        return (*doubtful(found, mined, known), *undecided)

    def _say_changed_settings(self, folder: RoundFolder, keys: Sequence[str]) -> None:
        training, info = self.settings.training, folder.run.info()
        config = config_to_resume(training.config, keys, read_config(folder.run.config))
        if training.minutes > 0:
            # They were measured when the run began.
            config = with_iterations(config, read_config(folder.run.config).solver.max_iter)
        config = config.prepared(method=info.method, seed=info.seed, classes=len(info.classes))
        try:
            check_same_run(
                folder.run, method=training.method, seed=training.seed, dataset=None, config=config
            )
        except RunError as error:
            self.say(
                f"sparsedet.toml has changed ({error}); the round keeps the configuration it began "
                "with, --restart starts it over"
            )

    def evaluate(self, folder: RoundFolder) -> None:
        """Evaluate the round's model, if there is evaluation data."""
        if not self.is_evaluated(folder):
            return
        data = self._evaluation_data(folder)
        on = ""
        if self._holds_out_itself:
            measured, on = measured_on(data.dataset)
            data = replace(data, dataset=measured)
        self.progress("evaluating", 0, len(data.dataset.images))
        names = [name for _, name in folder.run.info().classes]
        dataset, _ = with_common_classes(names, data.with_classes(names), str(data.source))
        result = evaluate_run(
            folder.run,
            read_config(folder.run.config),
            dataset,
            data.images,
            device=self.device,
            on_image=lambda done, total: self.progress("evaluating", done, total),
        )
        figures = result.as_json()
        write_json(folder.evaluation, figures, indent=2)
        # The figure of the file, so that `status` rounds the same number.
        ap50 = figures["AP50"]
        shown = "-" if ap50 is None else f"{ap50:.1f}"
        self.say(f"AP50 {shown} on {on or counted(result.images, 'image')}")

    def is_evaluated(self, folder: RoundFolder) -> bool:
        """Return whether there is evaluation data."""
        return bool(self.settings.validation.data) or folder.val.exists()

    @property
    def _holds_out_itself(self) -> bool:
        """Whether evaluation images are chosen here."""
        validation = self.settings.validation
        return validation.auto and not validation.share and not validation.data

    def _evaluation_data(self, folder: RoundFolder) -> Data:
        """Return the evaluation data: the user's own, else the held-out images."""
        if self.settings.validation.data:
            return self.own_evaluation_data()
        return Data(read_coco(folder.val), self.workspace.images, folder.val)

    def own_evaluation_data(self) -> Data:
        """Read the evaluation data named in the settings."""
        validation = self.settings.validation
        images = self.workspace.root / validation.images if validation.images else None
        return read_path(self.workspace.root / validation.data, images, FOR_EVALUATION)
