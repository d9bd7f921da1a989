"""A training run: one stage, or for `staged` several with mining in between; each step resumes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from sparsedet import __version__, processes
from sparsedet.annotations import Box, Dataset, check_images, read_coco, write_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.errors import ConfigError, RunError
from sparsedet.files import atomic_folder, remove_half_written, write_text
from sparsedet.mining.mine import mine_by
from sparsedet.modeling import checkpoint
from sparsedet.modeling.pretrained import fetch_weights
from sparsedet.modeling.weights.normalisation import follow_weights
from sparsedet.pixel_cache import PixelCache
from sparsedet.run_folder import RunFolder, RunInfo
from sparsedet.training.best import ValidationData, Validator, check_validation
from sparsedet.training.check_config import check_batch_size, check_config, check_shares
from sparsedet.training.feedback import usable_feedback
from sparsedet.training.held_out import part_validation
from sparsedet.training.methods import apply_method
from sparsedet.training.pseudo_labels import (
    NOTHING,
    PseudoLabels,
    read_pseudo_labels,
    usable,
    write_pseudo_labels,
)
from sparsedet.training.samples import training_images, without_versions
from sparsedet.training.settings import read_config
from sparsedet.training.stage import OnProgress, Stage, train_stage
from sparsedet.training.stages import stages
from sparsedet.training.trainer import Weights
from sparsedet.unreadable import OnUnreadable, UnreadableImages, warn_unreadable


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told how a run goes on."""

    on_progress: OnProgress = lambda progress: None
    """After every iteration."""
    on_mining: Callable[[int, int], None] = lambda done, total: None
    """After every mined image: `on_mining(done, total)`."""
    on_mined: Callable[[PseudoLabels], None] = lambda found: None
    """After every mining between two stages; a run that goes on behind one does not tell again."""
    on_unreadable: OnUnreadable = warn_unreadable
    """About every image that is skipped because it can't be decoded, by each stage and mining."""


def start_run(
    cfg: CfgNode,
    run: RunFolder,
    dataset: Dataset,
    images: Path,
    *,
    source: Path,
    method: str,
    seed: int,
    device: str,
    validation: ValidationData | None = None,
) -> None:
    """Prepare a run folder: configuration, what the run is, and a copy of the training data.

    Args:
        cfg: the configuration.
        run: the folder, which has to be empty where it exists.
        dataset: what to train on.
        images: the folder of its images.
        source: where `dataset` was read, by which the run and errors name it.
        method: the training method.
        seed: of everything that is drawn.
        device: cpu or cuda.
        validation: what to measure the training on, with TEST.EVAL_PERIOD.

    Raises:
        RunError: when the folder holds anything already.
        AnnotationError: when an image is missing, or not as the annotations say.
        ConfigError: when a value of the configuration is not usable, alone or with this dataset.
    """
    if run.root.is_file() or (run.root.exists() and any(run.root.iterdir())):
        hint = "--resume goes on with it; or choose" if run.info_file.exists() else "choose"
        raise RunError(f"{run.root}: the output folder is not empty; {hint} another with -o")
    dataset = without_versions(dataset)
    limit: int = cfg.DATALOADER.MAX_UNREADABLE
    check_images(dataset, images, UnreadableImages(limit, len(dataset.images)))
    if not dataset.categories:
        raise ConfigError(f"{source}: no categories to train on")
    check_batch_size(cfg, len(dataset.images), source)
    check_shares(cfg, processes.ranks())
    if validation is not None and cfg.TEST.EVAL_PERIOD > 0:
        check_validation(validation)
    training_images(usable_feedback(dataset, cfg), images, keep_unlabelled=True)
    cfg = prepare_config(cfg, method=method, seed=seed, classes=len(dataset.categories))
    # Before there is a folder: what can't be downloaded leaves nothing behind.
    fetch_weights(cfg)
    cfg.MODEL.DEVICE = device
    cfg.OUTPUT_DIR = str(run.root)
    info = RunInfo(
        run_id=_run_id(cfg, dataset, seed),
        method=method,
        seed=seed,
        train=str(source),
        images=str(images.resolve()),
        classes=[(category.id, category.name) for category in dataset.categories],
        version=__version__,
        validation_images=None if validation is None else str(validation.images.resolve()),
    )
    with atomic_folder(run.root) as temporary:
        prepared = RunFolder(temporary)
        write_coco(dataset, prepared.training_data)
        if validation is not None:
            write_coco(validation.dataset, prepared.validation_data)
        write_text(prepared.config, cfg.dump())
        prepared.write_info(info)


def prepare_config(cfg: CfgNode, *, method: str, seed: int, classes: int) -> CfgNode:
    """Return the configuration of a run: `cfg` with what method, seed and data decide.

    Raises:
        ConfigError: naming the key that has no usable value.
    """
    cfg = cfg.clone()
    apply_method(cfg, method)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    cfg.SEED = seed
    follow_weights(cfg)
    check_config(cfg)
    return cfg


def run_training(
    run: RunFolder, *, device: str | None = None, listeners: Listeners | None = None
) -> None:
    """Train what `start_run` prepared, or go on with it where it was interrupted or killed.

    Every step ends with a file that is written whole or not at all, and is not done again.

    Args:
        run: the run folder.
        device: cpu or cuda; None: that of the configuration.
        listeners: who is told about the progress.
    """
    if run.model.exists():
        return
    listeners = listeners or Listeners()
    info = run.info()
    cfg = read_config(run.config)
    if device is not None:
        cfg.MODEL.DEVICE = device
    # A run may go on in another number of processes than it was started in.
    processes.first_does(lambda: check_shares(cfg, processes.ranks()))
    # A checkpoint's takes much room.
    processes.first_does(lambda: remove_half_written(run.root))
    dataset = usable_feedback(read_coco(run.training_data), cfg)
    work = _Work.of(run, cfg, info, dataset, listeners)
    if info.method == "staged":
        weights = work.train_in_stages()
    else:
        weights = work.train(Stage(info.method, 0, cfg.SOLVER.MAX_ITER))
    if work.validator is not None:
        weights = work.validator.best_weights()
    processes.first_does(lambda: _finish(run, weights))


@dataclass(frozen=True, slots=True)
class _Work:
    """What the parts of a run need."""

    run: RunFolder
    cfg: CfgNode
    seed: int
    dataset: Dataset
    """All annotations."""
    labels: Dataset
    """Those to learn from."""
    hidden: Sequence[Box]
    """Those to measure on, on images that are trained on."""
    images: Path
    listeners: Listeners
    validator: Validator | None
    cache: PixelCache
    """What one stage or mining has decoded is there for the others."""

    @classmethod
    def of(
        cls, run: RunFolder, cfg: CfgNode, info: RunInfo, dataset: Dataset, listeners: Listeners
    ) -> "_Work":
        """Part the annotations into those to learn from and those to measure on."""
        images = Path(info.images)
        labels, data = dataset, None
        hidden: Sequence[Box] = ()
        if cfg.TEST.EVAL_PERIOD > 0:
            if info.validation_images is not None:
                data = ValidationData(read_coco(run.validation_data), Path(info.validation_images))
            elif held_out := part_validation(dataset, cfg.SPARSEDET.VALIDATION.HELD_OUT, info.seed):
                labels, hidden = held_out.training, held_out.hidden
                data = ValidationData(held_out.validation, images)
        # The bound is of a machine.
        cache = PixelCache(cfg.DATALOADER.CACHE_MIB * 2**20 // processes.local_ranks())
        return cls(
            run,
            cfg,
            info.seed,
            dataset,
            labels,
            hidden,
            images,
            listeners,
            validator=None if data is None else Validator(cfg, run, data, cache),
            cache=cache,
        )

    def train(self, stage: Stage, found: PseudoLabels = NOTHING) -> Weights:
        """Train one stage on the annotations and on what earlier stages found."""
        images = training_images(
            self.labels,
            self.images,
            extra_labels=found.labels,
            ignored=(*found.doubtful, *self.hidden),
            keep_unlabelled=not self.cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        )
        weights = train_stage(
            stage,
            images,
            self.cfg,
            self.run,
            seed=self.seed,
            on_progress=self.listeners.on_progress,
            validator=self.validator,
            cache=self.cache,
            on_unreadable=self.listeners.on_unreadable,
        )
        # The next step reads what the first process has written.
        processes.barrier()
        return weights

    def train_in_stages(self) -> Weights:
        """Train, mine, go on with what was found, as often as the configuration says."""
        *mining, last = stages(self.cfg)
        found = NOTHING
        for stage in mining:
            path = self.run.mining / f"{stage.name}.json"
            if not path.exists():
                self._mine(self.train(stage, found), path)
            found = read_pseudo_labels(path)
        return self.train(last, found)

    def _mine(self, weights: Weights, path: Path) -> None:
        """Mine the training images, and write `path`."""
        model = checkpoint.build(self.cfg)
        model.load_state_dict(weights)
        mined = mine_by(
            model.eval(),
            self.cfg,
            # Hidden annotations explain detections as well as others; images set aside stay so.
            self.dataset.with_images(self.labels.images),
            self.images,
            self.run.info(),
            on_image=self.listeners.on_mining,
            cache=self.cache,
            on_unreadable=self.listeners.on_unreadable,
        )
        found = PseudoLabels(mined.labels, mined.doubtful)
        found = usable(found, self.cfg.SPARSEDET.STAGED)
        processes.first_does(lambda: write_pseudo_labels(found, path))
        self.listeners.on_mined(found)


def _finish(run: RunFolder, weights: Weights) -> None:
    """Write the finished model as detectron2 does, and the picture of how it came about."""
    # Not before: matplotlib takes a second to import.
    from sparsedet.training.curves import write_curves

    write_curves(run)
    checkpoint.save({"model": weights}, run.model)


def choose_device(wanted: str) -> str:
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: when CUDA is asked for and not there.
    """
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ConfigError(f"--device {wanted}: expected auto, cpu or cuda")
    if wanted == "cuda" and not available:
        raise ConfigError("--device cuda: torch finds no CUDA device here; use auto or cpu")
    return wanted


def _run_id(cfg: CfgNode, dataset: Dataset, seed: int) -> str:
    """Hash what determines a run's result; where it runs and is stored does not."""
    cfg = cfg.clone()
    cfg.OUTPUT_DIR = ""
    cfg.MODEL.DEVICE = ""
    parts: list[Any] = [cfg.dump(), to_coco(dataset), seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
