"""A training run: one stage, or for `staged` two with mining in between; every step resumes."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn

from sparsedet import __version__
from sparsedet.annotations import Dataset, check_images, read_coco, write_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.errors import ConfigError, RunError
from sparsedet.files import atomic_folder, write_json, write_text
from sparsedet.mining.mine import MiningResult, mine, mined_meta
from sparsedet.mining.mined import write_mined
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder, RunInfo
from sparsedet.training.check_config import check_config
from sparsedet.training.feedback import usable_feedback
from sparsedet.training.methods import apply_method
from sparsedet.training.pseudo_labels import (
    PseudoLabels,
    read_pseudo_labels,
    write_pseudo_labels,
)
from sparsedet.training.samples import training_images, without_versions
from sparsedet.training.settings import read_config
from sparsedet.training.stage import OnProgress, train_stage

_PSEUDO_LABELS = "pseudo_labels.json"
"""In the run's mining folder; there once the mining between the stages is done."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told how a run goes on."""

    on_progress: OnProgress = lambda progress: None
    """After every iteration."""
    on_mining: Callable[[int, int], None] = lambda done, total: None
    """After every mined image: `on_mining(done, total)`."""
    on_mined: Callable[[MiningResult], None] = lambda result: None
    """Between the stages; a run that goes on with its second stage has told before."""


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

    Raises:
        RunError: when the folder holds anything already.
        AnnotationError: when an image is missing, or not as the annotations say.
    """
    if run.root.is_file() or (run.root.exists() and any(run.root.iterdir())):
        hint = "--resume goes on with it; or choose" if run.info_file.exists() else "choose"
        raise RunError(f"{run.root}: the output folder is not empty; {hint} another with -o")
    dataset = without_versions(dataset)
    check_images(dataset, images)
    if not dataset.categories:
        raise ConfigError(f"{source}: no categories to train on")
    training_images(usable_feedback(dataset, cfg), images, keep_unlabelled=True)
    cfg = prepare_config(cfg, method=method, seed=seed, classes=len(dataset.categories))
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
    )
    with atomic_folder(run.root) as temporary:
        prepared = RunFolder(temporary)
        write_coco(dataset, prepared.training_data)
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
    _remove_half_written(run)
    dataset = usable_feedback(read_coco(run.training_data), cfg)
    images = Path(info.images)
    labelled = partial(
        training_images,
        dataset,
        images,
        keep_unlabelled=not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
    )
    train = partial(
        train_stage, cfg=cfg, run=run, seed=info.seed, on_progress=listeners.on_progress
    )
    if info.method != "staged":
        _save(train(info.method, labelled()), run.model)
        return
    if not run.folds_file.exists():
        _save(train("stage1", labelled()), run.fold_model(0))
        write_json(run.folds_file, {image.id: 0 for image in dataset.images})
    pseudo_labels = _pseudo_labels(run, cfg, dataset, images, listeners)
    retraining = labelled(extra_labels=pseudo_labels.labels, ignored=pseudo_labels.doubtful)
    _save(train("stage2", retraining), run.model)


def _pseudo_labels(
    run: RunFolder, cfg: CfgNode, dataset: Dataset, images: Path, listeners: Listeners
) -> PseudoLabels:
    """Mine the training images by the first stage's model, once."""
    path = run.mining / _PSEUDO_LABELS
    if not path.exists():
        device = cfg.MODEL.DEVICE
        mined = mine(run, cfg, dataset, images, device=device, on_image=listeners.on_mining)
        write_mined(mined.mined, mined_meta(run, cfg, dataset, mined), run.mining / "mined.json")
        write_pseudo_labels(PseudoLabels(mined.labels, mined.doubtful), path)
        listeners.on_mined(mined)
    return read_pseudo_labels(path)


def _remove_half_written(run: RunFolder) -> None:
    """Remove the temporary files of a killed process; a checkpoint's takes much room."""
    for path in run.root.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def _save(model: nn.Module, path: Path) -> None:
    """Write a finished model as detectron2 does."""
    checkpoint.save({"model": model.state_dict()}, path)


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
