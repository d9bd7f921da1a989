"""A cell of the benchmark: one training on mosaics of one scale, and its figures."""

import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from sparsedet.annotations import Dataset, read_coco
from sparsedet.atomic_io import read_json, write_json
from sparsedet.config.auto import config_to_start
from sparsedet.config.training_config import read_config
from sparsedet.mining.detect import detect_all
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.engine.callbacks import Callbacks, OnProgress
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.evaluation.average_precision import evaluate

from .mosaics import annotated, arrange, draw, taken_apart

SMALL_SHARE = 1 / 3


class Cell(BaseModel):
    """What is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    scale: int
    """Images in a row of a mosaic."""
    config: str
    seed: int
    method: str
    drop: float
    """Share of the training boxes that is removed."""
    iterations: int

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"{self.data}-x{self.scale}-{self.config}-s{self.seed}"


class Result(BaseModel):
    """A cell's figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell
    ap: float
    ap50: float
    ap_small: float
    """Of the smallest third of the objects."""
    ap50_small: float
    training_seconds: float
    training_cpu_seconds: float
    detection_seconds: float
    """Of a mosaic."""
    size: int
    """Longest side of the network's input."""
    tile: int
    choice: str
    """What `auto` said."""
    commit: str
    threads: int


def measured(cell: Cell, file: Path) -> Result | None:
    """Return the result that a file holds; None where there is none, or one of another cell."""
    if not file.exists():
        return None
    result = Result.model_validate(read_json(file))
    return result if result.cell == cell else None


def measure(cell: Cell, data: Path, device: str, on_progress: OnProgress) -> Result:
    """Train and measure a cell, in a temporary folder.

    Args:
        cell: what to train.
        data: the folder of the full annotations and images.
        device: cpu or cuda.
        on_progress: called after every iteration.
    """
    images = data / "images"
    full, test = (read_coco(data / f"{part}.json") for part in ("train", "test"))
    train = full
    if cell.drop:
        train, _ = remove_boxes(full, load_recipe("random").with_drop(cell.drop), cell.seed)
    train_mosaics, test_mosaics = arrange(train, cell.scale), arrange(test, cell.scale)
    with TemporaryDirectory(prefix="sparsedet-small-") as temporary:
        scratch = Path(temporary)
        draw(train_mosaics, images, scratch / "train")
        draw(test_mosaics, images, scratch / "test")
        dataset = annotated(train_mosaics, train)
        pairs = ["SOLVER.MAX_ITER", str(cell.iterations)]
        choice = config_to_start(cell.config, pairs, dataset, device)
        run = RunFolder(scratch / "run")
        start_run(
            choice.config,
            run,
            dataset,
            scratch / "train",
            source=data / "train.json",
            method=cell.method,
            seed=cell.seed,
            device=device,
        )
        began = time.monotonic(), time.process_time()
        run_training(run, device=device, callbacks=Callbacks(on_progress=on_progress))
        seconds, cpu_seconds = time.monotonic() - began[0], time.process_time() - began[1]
        config = read_config(run.config)
        model = build_for_inference(config.node, run.finished_model(), device)
        mosaics = annotated(test_mosaics, test)
        ids = class_ids(run.info(), mosaics)
        start = time.monotonic()
        found = detect_all(model, config, mosaics.images, scratch / "test", ids)
        detection = (time.monotonic() - start) / len(mosaics.images)
    parts = taken_apart(test_mosaics, found)
    everything, small = evaluate(parts, test), evaluate(parts, smallest(test))
    return Result(
        cell=cell,
        ap=round(everything.ap, 2),
        ap50=round(everything.ap50, 2),
        ap_small=round(small.ap, 2),
        ap50_small=round(small.ap50, 2),
        training_seconds=round(seconds, 1),
        training_cpu_seconds=round(cpu_seconds, 1),
        detection_seconds=round(detection, 3),
        size=config.input.max_size_test,
        tile=config.input.tile,
        choice=choice.reason,
        commit=_commit(),
        threads=torch.get_num_threads(),
    )


def smallest(dataset: Dataset) -> Dataset:
    """Return the dataset with all boxes ignored but the smallest, relative to their image."""
    sizes = {
        box.id: box.width
        * box.height
        / (dataset.image_by_id[box.image_id].width * dataset.image_by_id[box.image_id].height)
        for box in dataset.boxes
        if not box.iscrowd
    }
    limit = float(np.quantile(list(sizes.values()), SMALL_SHARE))
    # pycocotools ignores objects outside of the areas that it evaluates, and detections on them.
    return dataset.with_boxes(
        replace(box, area=math.inf, extra={**box.extra, "difficult": 1})
        if sizes.get(box.id, 0.0) > limit
        else box
        for box in dataset.boxes
    )


def write_result(result: Result, file: Path) -> None:
    """Write a cell's file, atomically."""
    write_json(file, result.model_dump(), indent=1)


def read_results(folder: Path) -> Sequence[Result]:
    """Return all results, by file name."""
    return [Result.model_validate(read_json(path)) for path in sorted(folder.glob("*.json"))]


def _commit() -> str:
    """Return the commit of the code, or unknown."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=7", "HEAD"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
