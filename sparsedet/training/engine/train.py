"""A training run: one stage, or for `staged` several with mining in between, all resumable."""

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sparsedet import __version__
from sparsedet.annotations import Box, Dataset, check_images, read_coco, write_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.atomic_io import (
    atomic_folder,
    is_empty_folder,
    remove_half_written,
    write_text,
)
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.tiles import views_of
from sparsedet.run_folder import RunFolder, RunInfo
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import UnreadableImages
from sparsedet.seeds import check_seed
from sparsedet.training.data.pseudo_labels import write_ignored
from sparsedet.training.data.samples import training_images, usable_feedback, without_versions
from sparsedet.training.engine.best_checkpoint import ValidationData, check_validation
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.mining_schedule import with_regular_mining
from sparsedet.training.engine.stage import Stage
from sparsedet.training.engine.steps import Steps
from sparsedet.training.engine.trainer import Weights, check_model
from sparsedet.wording import first_of

logger = logging.getLogger(__name__)


def check_empty(run: RunFolder) -> None:
    """Check that a run can start in a folder.

    Raises:
        RunError: when the folder is not empty, or is a file.
    """
    if run.root.is_file():
        raise RunError(f"{run.root}: a file, not a folder; choose another with -o")
    if run.root.exists() and not is_empty_folder(run.root):
        begun = run.info_file.exists()
        hint = "pass --resume to continue the run, or choose" if begun else "choose"
        raise RunError(f"{run.root}: the output folder is not empty; {hint} another with -o")


def start_run(
    config: TrainingConfig,
    run: RunFolder,
    dataset: Dataset,
    images: Path,
    *,
    source: Path,
    method: str,
    seed: int,
    device: str,
    validation: ValidationData | None = None,
    ignored: Sequence[Box] = (),
) -> None:
    """Prepare a run folder: configuration, metadata, and a copy of the training data.

    Args:
        config: the configuration.
        run: the folder, which has to be empty if it exists.
        dataset: the training data.
        images: the folder of its images.
        source: where `dataset` was read from; its name in the run and in errors.
        method: the training method.
        seed: seed of all random draws.
        device: cpu or cuda.
        validation: validation data, with TEST.EVAL_PERIOD.
        ignored: ignore regions.

    Raises:
        RunError: when the folder is not empty.
        AnnotationError: when an image is missing, or contradicts the annotations.
        ConfigError: when a configuration value is invalid, alone or with this dataset.
    """
    check_empty(run)
    check_seed(seed)
    dataset = without_versions(dataset)
    limit = config.loader.max_unreadable
    check_images(dataset, images, UnreadableImages(limit, len(dataset.images)))
    if not dataset.categories:
        raise ConfigError(f"{source}: no categories to train on")
    config.solver.check_shares(processes.ranks())
    given, config = config.solver.batch_size, with_bounded_batch(config, dataset)
    if config.solver.batch_size < given:
        logger.warning(
            "SOLVER.IMS_PER_BATCH is %d, but %s has fewer images: reduced to %d",
            given,
            source,
            config.solver.batch_size,
        )
    config = with_regular_mining(config, _views(config, dataset))
    if validation is not None and config.validation.eval_period > 0:
        check_validation(validation)
    training_images(usable_feedback(dataset, config.feedback), images, keep_unlabelled=True)
    config = config.prepared(method=method, seed=seed, classes=len(dataset.categories))
    # Before the folder is created: an error leaves nothing behind.
    check_model(config, [category.name for category in dataset.categories])
    config = config.with_values({"MODEL.DEVICE": device, "OUTPUT_DIR": str(run.root)})
    info = RunInfo(
        run_id=_run_id(config, dataset, seed, ignored),
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
        if ignored:
            write_ignored(ignored, prepared)
        write_text(prepared.config, config.dump())
        prepared.write_info(info)


def check_same_run(
    run: RunFolder,
    *,
    method: str | None,
    seed: int | None,
    dataset: Dataset | None,
    config: TrainingConfig | None,
    validation: Dataset | None = None,
) -> None:
    """Check that repeated options match those of the run; None: not given.

    Args:
        run: the run to resume.
        method: the training method.
        seed: the seed.
        dataset: the training annotations.
        config: the prepared configuration.
        validation: the validation annotations.

    Raises:
        RunError: naming what differs.
    """
    info = run.info()
    differing = []
    if method is not None and method != info.method:
        differing.append(f"the run's method is {info.method}, not {method}")
    if seed is not None and seed != info.seed:
        differing.append(f"the run's seed is {info.seed}, not {seed}")
    # Compare as files: reading back rounds coordinates and fills in areas.
    if dataset is not None and to_coco(dataset) != to_coco(read_coco(run.training_data)):
        differing.append("the training annotations are not those that the run started with")
    if validation is not None and read_config(run.config).validation.eval_period > 0:
        known = read_coco(run.validation_data) if run.validation_data.exists() else None
        if known is None or to_coco(validation) != to_coco(known):
            differing.append("the run is not measured on the validation annotations on its way")
    if config is not None:
        began = read_config(run.config)
        data = read_coco(run.training_data)
        config = _bounded_as(began, config, data)
        if config.staged.mine_at != began.staged.mine_at:  # runs of former versions mine as asked
            config = with_regular_mining(config, _views(config, data))
        keys = config.differing_keys(began)
        if keys:
            differing.append(f"the run's configuration has other values of {first_of(keys)}")
    if differing:
        raise RunError(
            f"{run.root}: can't resume it: {'; '.join(differing)}; leave these options out, "
            "or start another run with another -o"
        )


def with_bounded_batch(config: TrainingConfig, dataset: Dataset) -> TrainingConfig:
    """Return the configuration with a batch of no more images, or tiles, than there are."""
    return config.with_values(config.solver.bounded(_views(config, dataset), processes.ranks()))


def _bounded_as(began: TrainingConfig, config: TrainingConfig, dataset: Dataset) -> TrainingConfig:
    """Return `with_bounded_batch` for the number of processes that the run began with.

    Args:
        began: the run's configuration.
        config: the configuration to compare with it.
        dataset: the run's training data.
    """
    solver, views = config.solver, _views(config, dataset)
    for ranks in range(1, began.solver.batch_size + 1):
        values = solver.bounded(views, ranks)
        batch = values.get("SOLVER.IMS_PER_BATCH"), values.get("SOLVER.ACCUMULATION")
        if batch == (began.solver.batch_size, began.solver.accumulation):
            return config.with_values(values)
    return with_bounded_batch(config, dataset)


def _views(config: TrainingConfig, dataset: Dataset) -> int:
    """Return the number of images, including tiles."""
    tile = config.input.tile
    return sum(len(views_of(image.width, image.height, tile)) for image in dataset.images)


def use_images(run: RunFolder, images: Path | None, validation: Path | None = None) -> None:
    """Set the folders of a run's images after they were moved.

    Args:
        run: the run.
        images: the new folder of the training images; None: not moved.
        validation: that of the validation images; None: if their folder is gone, `images`.

    Raises:
        AnnotationError: when an image is missing there, or contradicts the annotations.
    """
    info, config = run.info(), read_config(run.config)

    def checked(file: Path, folder: Path) -> str:
        dataset = read_coco(file)
        unreadable = UnreadableImages(config.loader.max_unreadable, len(dataset.images))
        check_images(dataset, folder, unreadable)
        return str(folder.resolve())

    if images is not None:
        info = replace(info, images=checked(run.training_data, images))
    if info.validation_images is not None:
        if validation is None and not Path(info.validation_images).is_dir():
            validation = images
        if validation is not None and config.validation.eval_period > 0:
            place = checked(run.validation_data, validation)
            info = replace(info, validation_images=place)
    if info != run.info():
        run.write_info(info)


def run_training(
    run: RunFolder, *, device: str | None = None, callbacks: Callbacks | None = None
) -> None:
    """Run what `start_run` prepared, or resume it after an interruption or kill.

    Every step ends by writing a file atomically, and is not repeated.

    Args:
        run: the run folder.
        device: cpu or cuda; None: that of the configuration.
        callbacks: callbacks for training progress.

    Raises:
        RunError: when another process is training the run, or these processes can't share a batch.
    """
    if processes.first_does(run.model.exists):
        return
    info = run.info()
    with ExitStack() as held:
        # The first process writes for all of them.
        processes.first_does(lambda: held.enter_context(run.lock()))
        _train(run, info, device, callbacks or Callbacks())


def _train(run: RunFolder, info: RunInfo, device: str | None, callbacks: Callbacks) -> None:
    config = read_config(run.config)
    if device is not None:
        config = config.with_values({"MODEL.DEVICE": device})
    processes.first_does(lambda: _check_processes(run, config))
    # Checkpoints are large.
    processes.first_does(lambda: remove_half_written(run.root))
    dataset = usable_feedback(read_coco(run.training_data), config.feedback)
    steps = Steps.of(run, config, info, dataset, callbacks)
    if info.method == "staged":
        weights = steps.train_in_stages()
    else:
        weights = steps.train(Stage(info.method, 0, config.solver.max_iter))
    if steps.validator is not None:
        weights = steps.validator.best_weights()
    processes.first_does(lambda: _finish(run, info, weights))


def _check_processes(run: RunFolder, config: TrainingConfig) -> None:
    """Check that the processes can share a batch: a run may resume with another number of them.

    Raises:
        RunError: naming possible numbers, since a resumed run keeps its batch.
    """
    solver = config.solver
    parts = range(1, solver.batch_size + 1)
    possible = [n for n in parts if solver.batch_size % (n * solver.accumulation) == 0]
    if not possible:
        solver.check_shares(processes.ranks())
    if processes.ranks() not in possible:
        raise RunError(
            f"{run.root}: {processes.ranks()} processes can't share the run's batches of "
            f"{solver.batch_size} images evenly, and a resumed run keeps them; resume it with "
            f"{' or '.join(map(str, possible))} (--num-gpus, or --nproc-per-node of torchrun)"
        )


def _finish(run: RunFolder, info: RunInfo, weights: Weights) -> None:
    """Write the finished model in detectron2's format, and the plot of the training."""
    # Imported late: matplotlib takes a second.
    from sparsedet.training.engine.loss_curves import write_curves

    write_curves(run)
    checkpoint.save({"model": weights, checkpoint.CLASSES: info.names}, run.model)


def choose_device(wanted: str) -> str:
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: when CUDA is requested but not available.
    """
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ConfigError(f"--device {wanted}: expected auto, cpu or cuda")
    if wanted == "cuda" and not available:
        raise ConfigError("--device cuda: torch finds no CUDA device here; use auto or cpu")
    return wanted


def _run_id(config: TrainingConfig, dataset: Dataset, seed: int, ignored: Sequence[Box]) -> str:
    """Hash what determines a run's result, except where it runs and is stored."""
    parts: list[Any] = [config.dump_result_keys(), to_coco(dataset), seed]
    if ignored:
        parts.append([[box.image_id, box.category_id, *box.xyxy] for box in ignored])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
