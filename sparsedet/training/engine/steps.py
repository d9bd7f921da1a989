"""The steps of a run: training stages, and mining between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sparsedet.annotations import Box, Dataset, read_coco
from sparsedet.config.sections import StagedConfig
from sparsedet.config.training_config import TrainingConfig
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import PixelCache
from sparsedet.run_folder import RunFolder, RunInfo
from sparsedet.runtime import processes
from sparsedet.training.data.pseudo_labels import (
    NOTHING,
    PseudoLabels,
    read_ignored,
    read_pseudo_labels,
    write_pseudo_labels,
)
from sparsedet.training.data.samples import hold_out_validation, training_images
from sparsedet.training.engine.best_checkpoint import ValidationData, Validator
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.pseudo_labelling import find_pseudo_labels
from sparsedet.training.engine.stage import Stage, train_stage
from sparsedet.training.engine.trainer import Weights


@dataclass(frozen=True, slots=True)
class Steps:
    """Inputs of the steps of a run."""

    run: RunFolder
    config: TrainingConfig
    seed: int
    dataset: Dataset
    """All annotations."""
    labels: Dataset
    """The training part."""
    ignored: Sequence[Box]
    """Ignore regions: hidden annotations, and regions that the run was given."""
    images: Path
    callbacks: Callbacks
    validator: Validator | None
    cache: PixelCache
    """Decoded images, shared by all stages and minings."""

    @classmethod
    def of(
        cls,
        run: RunFolder,
        config: TrainingConfig,
        info: RunInfo,
        dataset: Dataset,
        callbacks: Callbacks,
    ) -> "Steps":
        """Split the annotations into training and validation."""
        images = Path(info.images)
        labels, data = dataset, None
        ignored: Sequence[Box] = ()
        if config.validation.eval_period > 0:
            if info.validation_images is not None:
                data = ValidationData(read_coco(run.validation_data), Path(info.validation_images))
            elif held_out := hold_out_validation(dataset, config.validation.held_out, info.seed):
                labels, ignored = held_out.training, held_out.hidden
                data = ValidationData(held_out.validation, images)
        # The limit is per machine.
        cache = PixelCache(config.loader.cache_mib * 2**20 // processes.local_ranks())
        return cls(
            run,
            config,
            info.seed,
            dataset,
            labels,
            (*ignored, *read_ignored(run)),
            images,
            callbacks,
            validator=None if data is None else Validator(config, run, data, cache),
            cache=cache,
        )

    def train(self, stage: Stage, found: PseudoLabels = NOTHING) -> Weights:
        """Train one stage on the annotations and on the boxes of earlier stages."""
        images = training_images(
            self.labels,
            self.images,
            mined=found,
            ignored=self.ignored,
            keep_unlabelled=not self.config.loader.filter_empty_annotations,
            tile=self.config.input.tile,
        )
        weights = train_stage(
            stage,
            images,
            self.config,
            self.run,
            seed=self.seed,
            classes=[category.name for category in self.dataset.categories],
            validator=self.validator,
            cache=self.cache,
            callbacks=self.callbacks,
        )
        # The next step reads what the first process has written.
        processes.barrier()
        return weights

    def train_in_stages(self) -> Weights:
        """Train, mine, and train on the result, as often as configured."""
        *mining, last = stages(self.config.staged, self.config.solver.max_iter)
        found = NOTHING
        for stage in mining:
            path = self.run.mining / f"{stage.name}.json"
            if not path.exists():
                self._mine(self.train(stage, found), path)
            found = read_pseudo_labels(path)
        return self.train(last, found)

    def _mine(self, weights: Weights, path: Path) -> None:
        """Mine the training images, and write `path`."""
        model = checkpoint.build(self.config.node)
        model.load_state_dict(weights)
        # Hidden annotations explain detections like others; images set aside stay set aside.
        dataset = self.dataset.with_images(self.labels.images)
        found = find_pseudo_labels(
            model.eval(),
            self.config,
            dataset,
            self.images,
            self.run.info(),
            on_image=self.callbacks.on_mining,
            cache=self.cache,
            on_unreadable=self.callbacks.on_unreadable,
        )
        processes.first_does(lambda: write_pseudo_labels(found, path))
        self.callbacks.on_mined(found)


def stages(config: StagedConfig, total: int) -> list[Stage]:
    """Return the stages of `staged`: one run on one schedule, with mining between stages.

    Args:
        config: when to mine.
        total: total iterations of the run.
    """
    inner = {round(share * total) for share in config.mine_at}
    first = max(1, config.min_iter)
    bounds = sorted({0, total} | {bound for bound in inner if first <= bound < total})
    parts = list(pairwise(bounds))
    return [
        Stage(
            f"stage{number}",
            start,
            end,
            previous=f"stage{number - 1}" if number > 1 else None,
        )
        for number, (start, end) in enumerate(parts, start=1)
    ]
