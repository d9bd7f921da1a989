"""The part of `sparsedet train` that needs torch."""

from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Dataset, check_images, read_coco
from sparsedet.atomic_io import write_json
from sparsedet.config.auto import config_to_resume, config_to_start
from sparsedet.config.published import read_published
from sparsedet.config.training_config import DEFAULT, TrainingConfig, load_config, read_config
from sparsedet.errors import AnnotationError, ConfigError, RunError
from sparsedet.loop.data_sources import (
    FOR_EVALUATION,
    FOR_TRAINING,
    Data,
    read_data,
    splits_of,
)
from sparsedet.run_folder import RunFolder, RunInfo, with_common_classes
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import UnreadableImages
from sparsedet.training.data.samples import without_versions
from sparsedet.training.engine.best_checkpoint import ValidationData
from sparsedet.training.engine.time_budget import in_minutes, with_iterations
from sparsedet.training.engine.train import (
    check_empty,
    check_same_run,
    choose_device,
    run_training,
    start_run,
    use_images,
)

from ..class_marks import MarkOptions
from ..display import live_display
from ..output import echo, emit_json, say
from ..training_progress import TrainingProgress
from .evaluate import evaluate_data, show_evaluation

_DEFAULT_SEED = 1
_EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """The options of `sparsedet train`, as given."""

    overrides: tuple[str, ...]
    train: str | None
    images: Path | None
    split: str | None
    val: str | None
    val_images: Path | None
    strict: bool
    output: Path | None
    config: str | None
    method: str | None
    seed: int | None
    minutes: float | None
    """That the training may take; None: as many iterations as the configuration has."""
    resume: bool
    device: str
    data_root: Path | None
    published: bool
    marks: MarkOptions
    """Class marks to add to the training annotations."""


def run_train(request: TrainRequest, *, json_output: bool) -> None:
    """Start or resume a run, train it, and evaluate it if validation data is given.

    Launched processes do this together; only the first one writes and prints.
    """
    device = choose_device(request.device)
    with processes.process_group(device):
        # Validate early: a typo in the validation data must not surface hours later.
        prepared = processes.first_does(lambda: _prepare(request, device))
        info = prepared.run.info()
        _announce(info, prepared.run, device)
        with live_display() as display:
            display.progress("preparing the training", 0, 1)
            callbacks = TrainingProgress(display).callbacks()
            run_training(prepared.run, device=device, callbacks=callbacks)
        evaluation = None
        if prepared.validation is not None:
            evaluation = evaluate_data(prepared.run, prepared.validation, device)
            if processes.is_first():
                write_json(prepared.run.root / _EVALUATION, evaluation, indent=2)
    if json_output:
        emit_json({"run": str(prepared.run.root), "method": info.method, "evaluation": evaluation})
        return
    if evaluation is not None:
        show_evaluation(f"{info.method} in {prepared.run.root}", evaluation)
    echo(f"model: {prepared.run.model}")
    say(f"next: sparsedet mine {prepared.run.root} --data ... -o mined.json")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run that can be trained."""

    run: RunFolder
    validation: Data | None


def _prepare(request: TrainRequest, device: str) -> _Prepared:
    """Start the requested run, or check that it can be resumed."""
    config, request = _settings(request)
    if request.minutes is not None and "SOLVER.MAX_ITER" in request.overrides[::2]:
        raise ConfigError("--minutes chooses SOLVER.MAX_ITER; leave one of the two out")
    if request.output is None:
        raise ConfigError("missing output folder: pass -o FOLDER")
    run = RunFolder(request.output)
    resumes = request.resume and run.info_file.exists()
    validation = _read_validation(request)
    if validation is not None:
        used = config or (read_config(run.config) if resumes else load_config(DEFAULT))
        limit = used.loader.max_unreadable
        images = UnreadableImages(limit, len(validation.dataset.images))
        check_images(validation.dataset, validation.images, images)
    if resumes:
        _check_resume(run, config, request, validation)
    elif request.resume and not request.published:
        # The published commands pass --resume from the first start.
        raise RunError(f"{run.root}: no run to resume; drop --resume to start one")
    else:
        _start(run, config, request, device, validation)
    return _Prepared(run, validation)


def _announce(info: RunInfo, run: RunFolder, device: str) -> None:
    ranks = processes.ranks()
    together = f" in {ranks} processes" if ranks > 1 else ""
    say(f"training with {info.method!r} on {device}{together}, seed {info.seed}, into {run.root}")


def _start(
    run: RunFolder,
    config: TrainingConfig | None,
    request: TrainRequest,
    device: str,
    validation: Data | None,
) -> None:
    if request.train is None:
        raise ConfigError("missing training data: pass annotations with --train")
    # Before a step is measured, which takes a while.
    check_empty(run)
    data = request.marks.apply_to(_read_training(request, request.train))
    if config is None or not request.published:
        name, overrides = request.config or DEFAULT, request.overrides
        choice = config_to_start(name, overrides, data.dataset, device)
        config = choice.config
        if choice.reason:
            say(choice.reason)
    method = request.method or config.model.method
    seed = _DEFAULT_SEED if request.seed is None else request.seed
    if request.minutes is not None:
        config = in_minutes(
            config,
            request.minutes,
            data.dataset,
            data.images,
            method=method,
            seed=seed,
            device=device,
            say=say,
        )
    start_run(
        config,
        run,
        data.dataset,
        data.images,
        source=data.source,
        method=method,
        seed=seed,
        device=device,
        validation=None if validation is None else _validation_data(validation, data.dataset),
    )


def _read_training(request: TrainRequest, train: str) -> Data:
    """Read the training data; split train by default."""
    reading = replace(FOR_TRAINING, split=request.split, strict=request.strict)
    data = read_data(train, request.images, request.data_root, reading)
    if data.note:
        say(data.note)
    return data


def _read_validation(request: TrainRequest) -> Data | None:
    """Read the evaluation data: --val, or split val of the training data."""
    images = request.val_images or request.images
    reading = replace(FOR_EVALUATION, strict=request.strict)
    if request.val is not None:
        data = read_data(request.val, images, request.data_root, reading)
        if data.note:
            say(data.note)
        return data
    if request.train is None or request.split is not None:
        return None
    splits = splits_of(request.train, request.images)
    if not {"train", "val"} <= {*splits}:
        return None
    data = read_data(request.train, images, request.data_root, replace(reading, split="val"))
    if data.dataset.table.iscrowd.all():
        say(f"{request.train}: not evaluated, as its split val has no annotations (--val DATA)")
        return None
    say(f"{request.train}: evaluating on its split val (--val chooses other data)")
    return data


def _validation_data(data: Data, training: Dataset) -> ValidationData:
    """Return validation data restricted to the trained classes.

    Raises:
        RunError: if it has none of them.
        AnnotationError: if it has no annotations of them.
    """
    names = [category.name for category in training.categories]
    dataset, _ = with_common_classes(names, data.with_classes(names), str(data.source))
    if dataset.table.iscrowd.all():
        # Otherwise, that would be an error after hours of training.
        raise AnnotationError(
            f"{data.source}: no annotations of the trained classes to evaluate on; pass other data "
            "with --val"
        )
    return ValidationData(dataset, data.images)


def _check_resume(
    run: RunFolder,
    config: TrainingConfig | None,
    request: TrainRequest,
    validation: Data | None,
) -> None:
    """Check that repeated options match the run; images may have moved."""
    info = run.info()
    dataset = None
    if request.train is not None:
        data = request.marks.apply_to(_read_training(request, request.train))
        dataset = without_versions(data.dataset)
    if config is not None:
        if not request.published:
            began, name = read_config(run.config), request.config or DEFAULT
            config = config_to_resume(name, request.overrides, began)
        if request.minutes is not None:
            # They were measured when the run began.
            config = with_iterations(config, read_config(run.config).solver.max_iter)
        config = config.prepared(method=info.method, seed=info.seed, classes=len(info.classes))
    measured_on = None
    if validation is not None:
        measured_on = _validation_data(validation, read_coco(run.training_data)).dataset
    check_same_run(
        run,
        method=request.method,
        seed=request.seed,
        dataset=dataset,
        config=config,
        validation=measured_on,
    )
    use_images(run, request.images, request.val_images)


def _settings(request: TrainRequest) -> tuple[TrainingConfig | None, TrainRequest]:
    """Return the requested configuration, or None if none was given.

    A published command's keys also fill in the request.
    """
    if not request.published:
        if request.config is None and not request.overrides:
            return None, request
        return load_config(request.config or DEFAULT, request.overrides), request
    command = read_published(request.overrides, request.config)
    return command.config, replace(
        request,
        train=request.train or command.train,
        val=request.val or command.test,
        method=request.method or command.method,
        output=request.output or (Path(command.output) if command.output else None),
        seed=command.seed if request.seed is None else request.seed,
    )
