"""What `sparsedet train` does once torch may be imported."""

from dataclasses import dataclass, replace
from pathlib import Path

import typer
from detectron2.config import CfgNode

from sparsedet.annotations import check_images
from sparsedet.datasets import read_data
from sparsedet.errors import ConfigError, RunError
from sparsedet.files import write_json
from sparsedet.run_folder import RunFolder
from sparsedet.training.published import read_published
from sparsedet.training.resume import check_same_run, use_images
from sparsedet.training.samples import without_versions
from sparsedet.training.settings import load_config
from sparsedet.training.train import (
    choose_device,
    prepare_config,
    run_training,
    start_run,
)

from .evaluate import evaluate_data, show_evaluation
from .output import emit_json, say
from .training_progress import training_progress

_DEFAULT_CONFIG = "lite0_fpn"
_DEFAULT_SEED = 1
_EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """The options of `sparsedet train`, as given."""

    overrides: tuple[str, ...]
    train: str | None
    images: Path | None
    val: str | None
    output: Path | None
    config: str | None
    method: str | None
    seed: int | None
    resume: bool
    device: str
    data_root: Path | None
    published: bool


def run_train(request: TrainRequest, *, json_output: bool) -> None:
    """Start or resume a run, train it, and evaluate it where validation data is given."""
    cfg, request = _settings(request)
    if request.output is None:
        raise ConfigError("where should the run go? Give a folder with -o")
    run = RunFolder(request.output)
    device = choose_device(request.device)
    # Before the training: a typo here shall not show itself hours later.
    val = read_data(request.val, request.images, request.data_root) if request.val else None
    if val is not None:
        check_images(val.dataset, val.images)
    if request.resume and run.info_file.exists():
        _check_resume(run, cfg, request)
    elif request.resume and not request.published:
        # The published commands carry --resume from their first start on.
        raise RunError(f"{run.root}: no run here to go on with; leave --resume out to start one")
    else:
        _start(run, cfg or load_config(_DEFAULT_CONFIG), request, device)
    info = run.info()
    say(f"training by {info.method!r} on {device}, seed {info.seed}, into {run.root}")
    with training_progress() as report:
        run_training(
            run,
            device=device,
            listeners=report.listeners(),
        )
    evaluation = None
    if val is not None:
        evaluation = evaluate_data(run, val, device)
        write_json(run.root / _EVALUATION, evaluation, indent=2)
    if json_output:
        emit_json({"run": str(run.root), "method": info.method, "evaluation": evaluation})
        return
    if evaluation is not None:
        show_evaluation(f"{info.method} in {run.root}", evaluation)
    typer.echo(f"model: {run.model}")
    say(f"next: sparsedet mine {run.root} --data ... -o mined.json")


def _start(run: RunFolder, cfg: CfgNode, request: TrainRequest, device: str) -> None:
    if request.train is None:
        raise ConfigError("what should be trained on? Give annotations with --train")
    data = read_data(request.train, request.images, request.data_root)
    start_run(
        cfg,
        run,
        data.dataset,
        data.images,
        source=data.source,
        method=request.method or cfg.SPARSEDET.METHOD,
        seed=_DEFAULT_SEED if request.seed is None else request.seed,
        device=device,
    )


def _check_resume(run: RunFolder, cfg: CfgNode | None, request: TrainRequest) -> None:
    """Check that what is given again is what the run has; images may have moved."""
    info = run.info()
    dataset = None
    if request.train is not None:
        data = read_data(request.train, request.images, request.data_root)
        dataset = without_versions(data.dataset)
    if cfg is not None:
        cfg = prepare_config(cfg, method=info.method, seed=info.seed, classes=len(info.classes))
    check_same_run(run, method=request.method, seed=request.seed, dataset=dataset, cfg=cfg)
    if request.images is not None:
        use_images(run, request.images)


def _settings(request: TrainRequest) -> tuple[CfgNode | None, TrainRequest]:
    """Return the configuration that is asked for, None where nothing is said of it.

    A published command adds to the request what its keys say.
    """
    if not request.published:
        if request.config is None and not request.overrides:
            return None, request
        return load_config(request.config or _DEFAULT_CONFIG, request.overrides), request
    command = read_published(request.overrides, request.config)
    return command.cfg, replace(
        request,
        train=request.train or command.train,
        val=request.val or command.test,
        method=request.method or command.method,
        output=request.output or (Path(command.output) if command.output else None),
        seed=command.seed if request.seed is None else request.seed,
    )
