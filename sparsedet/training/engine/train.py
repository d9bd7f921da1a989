"""A training run: one stage, or for `staged` several with mining in between; each step resumes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from sparsedet import __version__
from sparsedet.annotations import Dataset, check_images, read_coco, write_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.atomic_io import atomic_folder, remove_half_written, write_text
from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.normalisation import follow_weights
from sparsedet.modeling.weights.pretrained import fetch_weights
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import UnreadableImages
from sparsedet.training.config.constraints import check_batch_size, check_config, check_shares
from sparsedet.training.config.loading import read_config
from sparsedet.training.config.methods import apply_method
from sparsedet.training.data.feedback_options import usable_feedback
from sparsedet.training.data.samples import training_images, without_versions
from sparsedet.training.engine.best_checkpoint import ValidationData, check_validation
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.stage import Stage
from sparsedet.training.engine.steps import Steps
from sparsedet.training.engine.trainer import Weights
from sparsedet.training.run_folder import RunFolder, RunInfo


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
    run: RunFolder, *, device: str | None = None, callbacks: Callbacks | None = None
) -> None:
    """Train what `start_run` prepared, or go on with it where it was interrupted or killed.

    Every step ends with a file that is written whole or not at all, and is not done again.

    Args:
        run: the run folder.
        device: cpu or cuda; None: that of the configuration.
        callbacks: who is told about the progress.
    """
    if run.model.exists():
        return
    callbacks = callbacks or Callbacks()
    info = run.info()
    cfg = read_config(run.config)
    if device is not None:
        cfg.MODEL.DEVICE = device
    # A run may go on in another number of processes than it was started in.
    processes.first_does(lambda: check_shares(cfg, processes.ranks()))
    # A checkpoint's takes much room.
    processes.first_does(lambda: remove_half_written(run.root))
    dataset = usable_feedback(read_coco(run.training_data), cfg)
    steps = Steps.of(run, cfg, info, dataset, callbacks)
    if info.method == "staged":
        weights = steps.train_in_stages()
    else:
        weights = steps.train(Stage(info.method, 0, cfg.SOLVER.MAX_ITER))
    if steps.validator is not None:
        weights = steps.validator.best_weights()
    processes.first_does(lambda: _finish(run, weights))


def _finish(run: RunFolder, weights: Weights) -> None:
    """Write the finished model as detectron2 does, and the picture of how it came about."""
    # Not before: matplotlib takes a second to import.
    from sparsedet.training.engine.loss_curves import write_curves

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
