"""What `sparsedet train` does once torch may be imported."""

from dataclasses import dataclass, replace
from pathlib import Path

import typer
from detectron2.config import CfgNode

from sparsedet.annotations import check_images, read_coco
from sparsedet.datasets import resolve
from sparsedet.errors import ConfigError, RunError
from sparsedet.files import write_json
from sparsedet.run_folder import RunFolder
from sparsedet.training.published import read_published
from sparsedet.training.settings import load_config
from sparsedet.training.train import Listeners, choose_device, run_training, start_run

from .evaluate import evaluate_source, show_evaluation
from .output import emit_json, say
from .training_progress import training_progress

_DEFAULT_CONFIG = "lite0_fpn"
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
    seed: int
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
    val = resolve(request.val, request.images, request.data_root) if request.val else None
    if val is not None:
        check_images(read_coco(val.annotations), val.images)
    if not (request.resume and run.info_file.exists()):
        if request.train is None:
            raise ConfigError("what should be trained on? Give annotations with --train")
        source = resolve(request.train, request.images, request.data_root)
        start_run(
            cfg,
            run,
            source.annotations,
            source.images,
            method=request.method or cfg.SPARSEDET.METHOD,
            seed=request.seed,
            device=device,
        )
    elif request.overrides and not request.published:
        raise RunError("--resume goes on with the run's own configuration: KEY VALUE can't change")
    info = run.info()
    say(f"training by {info.method!r} on {device}, seed {info.seed}, into {run.root}")
    with training_progress() as report:
        run_training(
            run,
            device=device,
            listeners=Listeners(on_progress=report.iteration, on_mining=report.mining),
        )
    evaluation = None
    if val is not None:
        evaluation = evaluate_source(run, val, device)
        write_json(run.root / _EVALUATION, evaluation, indent=2)
    if json_output:
        emit_json({"run": str(run.root), "method": info.method, "evaluation": evaluation})
        return
    typer.echo(f"model: {run.model}")
    if evaluation is not None:
        show_evaluation(evaluation)


def _settings(request: TrainRequest) -> tuple[CfgNode, TrainRequest]:
    """Return the configuration, and the request with what a published command adds to it."""
    if not request.published:
        return load_config(request.config or _DEFAULT_CONFIG, request.overrides), request
    command = read_published(request.overrides, request.config)
    return command.cfg, replace(
        request,
        train=request.train or command.train,
        val=request.val or command.test,
        method=request.method or command.method,
        output=request.output or (Path(command.output) if command.output else None),
        seed=command.seed,
    )
