"""Run by `test_processes.py` in one and two processes: trainings and evaluation."""

import sys
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset, read_coco
from sparsedet.atomic_io import write_json
from sparsedet.config.training_config import read_config
from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import detect_all
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.runtime import processes
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.evaluation.average_precision import evaluate_run, results
from tests.training.short_runs import short_config

ITERATIONS = 5
BROKEN = "broken images"
"""A folder next to the finished run: of its second image only the beginning is there."""
KEYS = (
    *("SOLVER.IMS_PER_BATCH", "4"),
    # Everything is sampled: processes draw apart from each other.
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000", "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "10000"),
    *("MODEL.RPN.POST_NMS_TOPK_TRAIN", "50", "SOLVER.BASE_LR", "0.0003"),
    # Something is mined by models that have seen next to nothing.
    *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001", "SPARSEDET.MINING.MIN_LABEL_SCORE", "0.0"),
    *("SPARSEDET.MINING.CLASS_SHARE", "0.0", "SPARSEDET.MINING.CLASS_PRECISION", "0.0"),
    *("SPARSEDET.STAGED.MIN_ITER", "0", "SPARSEDET.STAGED.MINE_AT", "(0.4,)"),
    *("SPARSEDET.STAGED.MIN_MISSING", "0.0"),
    *("SPARSEDET.PSEUDO_POSITIVES.START_ITER", "1"),
    *("SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH", "0.02"),
)
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "measured": ("plain", ("TEST.EVAL_PERIOD", "2", "SOLVER.CLIP_GRADIENTS.ENABLED", "True")),
    "end-to-end": ("end-to-end", ()),
    "staged": ("staged", ()),
}
"""Method and further keys by name."""
FINISHED = "measured"
"""The one whose run detects."""


def half_annotated(dataset: Dataset) -> Dataset:
    """Leave every second image without boxes: then some process has none in its share."""
    return dataset.with_boxes(box for box in dataset.boxes if box.image_id % 2)


def train(root: Path, data: Path, images: Path, method: str, keys: tuple[str, ...]) -> Any:
    """Train a run and return its losses, iteration by iteration, and its measurements."""
    run = RunFolder(root)
    config = short_config(ITERATIONS, *KEYS, *keys)
    processes.first_does(
        lambda: start_run(
            config, run, half_annotated(read_coco(data)), images,
            source=data, method=method, seed=1, device="cpu",
        )
    )  # fmt: skip
    losses: list[dict[str, float]] = []

    def note(progress: StageProgress) -> None:
        losses.append(progress.losses)

    run_training(run, callbacks=Callbacks(on_progress=note))
    measured = [line["value"] for line in read_metrics(run.metrics) if "value" in line]
    return {"losses": losses, "measured": measured}


def detect(run: RunFolder, data: Path, images: Path, output: Path) -> None:
    """Detect as mining does, and evaluate, by a finished run."""
    dataset, config = read_coco(data), read_config(run.config)
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    ids = class_ids(run.info(), dataset)
    found = detect_all(model, config, dataset.images, images, ids)
    evaluation = evaluate_run(run, config, dataset, images, device="cpu")
    if processes.is_first():
        write_json(output / "detections.json", results(found))
        write_json(output / "evaluation.json", evaluation.as_json())


def detect_with_a_broken_image(run: RunFolder, data: Path, images: Path) -> list[str]:
    """Return the message where one image more can't be decoded than is allowed, if there is one."""
    dataset, config = read_coco(data), read_config(run.config)
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    ids = class_ids(run.info(), dataset)
    said = []
    for allowed in (1, 0):
        config = config.with_values({"DATALOADER.MAX_UNREADABLE": allowed})
        try:
            found = detect_all(model, config, dataset.images[:2], images, ids)
        except AnnotationError as error:
            said.append(str(error))
        else:
            said.append(f"{[len(one.scores) > 0 for one in found]}")
    return said


def main(output: Path, data: Path, images: Path, finished: Path) -> None:
    """Do all of it, into `output`; detect and evaluate by the run `finished`."""
    with processes.process_group("cpu"):
        trained = {
            name: train(output / name, data, images, method, keys)
            for name, (method, keys) in CASES.items()
        }
        detect(RunFolder(finished), data, images, output)
        broken = detect_with_a_broken_image(RunFolder(finished), data, finished.parent / BROKEN)
        ranks = processes.gather(processes.rank())
        if processes.is_first():
            content = {"ranks": ranks, "cases": trained, "broken": broken}
            write_json(output / "results.json", content)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
