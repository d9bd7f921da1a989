"""Train once on spoiled annotations, and cache the model's detections on the same images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.atomic_io import write_json
from sparsedet.completeness.proposals import detection_config
from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.mining.detect import detect_all
from sparsedet.mining.detections import Detections
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.engine.train import run_training, start_run

DIGITS = "digits"
_SCENES = 100


@dataclass(frozen=True)
class Found:
    """Two sets of detections by one model."""

    low: Sequence[Detections]
    """As in a round: low scores, and overlapping objects of a class."""
    usual: Sequence[Detections]
    """With the run's own configuration, as detectors are usually run."""


def read_data(data: str, work: Path) -> tuple[str, Dataset, Path]:
    """Return name, annotations and image folder of a dataset; `digits`: generated scenes."""
    if data == DIGITS:
        images = work / f"{DIGITS}-scenes"
        return DIGITS, make_scenes(_SCENES, images, seed=1), images
    folder = Path(data)
    return folder.resolve().name, read_coco(folder / "train.json"), folder / "images"


def train_and_detect(
    dataset: Dataset, images: Path, work: Path, *, method: str, seed: int, iterations: int
) -> Found:
    """Return a model's detections on its own training images, cached in `work`."""
    kept = work / "detections.json"
    if not kept.exists():
        run = RunFolder(work / "run")
        if not run.info_file.exists():
            write_coco(dataset, work / "spoiled.json")
            start_run(
                load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(iterations)]),
                run,
                dataset,
                images,
                source=work / "spoiled.json",
                method=method,
                seed=seed,
                device="cpu",
            )
        run_training(run, device="cpu")
        usual = read_config(run.config).with_values({"MODEL.DEVICE": "cpu"})
        write_json(
            kept,
            {
                "low": _detect(run, detection_config(usual), dataset, images),
                "usual": _detect(run, usual, dataset, images),
            },
        )
    content = json.loads(kept.read_text())
    return Found(*([_from_json(own) for own in content[name]] for name in ("low", "usual")))


def _detect(
    run: RunFolder, config: TrainingConfig, dataset: Dataset, images: Path
) -> list[dict[str, object]]:
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    ids = class_ids(run.info(), dataset)
    return [
        {
            "image_id": found.image_id,
            "boxes": found.boxes.round(3).tolist(),
            "scores": found.scores.round(6).tolist(),
            "category_ids": found.category_ids.tolist(),
            "object_scores": found.object_scores.round(6).tolist(),
        }
        for found in detect_all(model, config, dataset.images, images, ids)
    ]


def _from_json(content: Mapping[str, Any]) -> Detections:
    return Detections(
        image_id=int(content["image_id"]),
        boxes=np.array(content["boxes"], dtype=np.float64).reshape(-1, 4),
        scores=np.array(content["scores"], dtype=np.float64),
        category_ids=np.array(content["category_ids"], dtype=np.int64),
        object_scores=np.array(content["object_scores"], dtype=np.float64),
    )
