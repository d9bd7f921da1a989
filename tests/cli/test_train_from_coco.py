"""`sparsedet train` from a COCO detector: classes are matched by name."""

from dataclasses import replace
from pathlib import Path

import torch
from torchvision.models import detection

from sparsedet.annotations import write_coco
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import sparsedet_here

SHORT = ["SOLVER.MAX_ITER", "1", "SOLVER.WARMUP_ITERS", "0", "SOLVER.IMS_PER_BATCH", "2"]


def test_a_training_knows_the_classes_of_its_data_by_name(tmp_path: Path) -> None:
    scenes = make_scenes(2, tmp_path / "images", seed=1)
    first, *others = scenes.categories
    named = replace(scenes, categories=(replace(first, name="Dog"), *others))
    write_coco(named, tmp_path / "train.json")
    original = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    torch.save(original.state_dict(), tmp_path / "mine.pth")
    result = sparsedet_here(
        *("train", "--config", "mobilenet_fpn", "--method", "plain"),
        *("--train", tmp_path / "train.json", "-o", tmp_path / "run"),
        *("MODEL.WEIGHTS", str(tmp_path / "mine.pth"), *SHORT),
    )
    assert result.status == 0, result.err
    # The weights are loaded twice, first as a check.
    assert result.err.count("1 of 10 classes found by name") == 1
