"""Training data of a run's stages: annotations, mined boxes, and no hidden ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from sparsedet.annotations import Box
from sparsedet.config.training_config import load_config
from sparsedet.mining.calibrate import Thresholds
from sparsedet.mining.mine import MiningResult
from sparsedet.modeling import checkpoint
from sparsedet.modeling.targets import Role
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.packed_dataset import TrainingImage
from sparsedet.training.data.pseudo_labels import NOTHING, PseudoLabels, read_pseudo_labels
from sparsedet.training.engine import pseudo_labelling, steps
from sparsedet.training.engine.stage import Stage
from sparsedet.training.engine.steps import stages
from sparsedet.training.engine.train import run_training, start_run
from tests.conftest import Scenes
from tests.training.short_runs import short_config

EVERYWHERE = ("SPARSEDET.STAGED.MIN_MISSING", "0.0")


class Ended(Exception):
    """The last stage is reached: there are no weights to continue from."""


def rows_by_stage(
    scenes: Scenes,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    mined: dict[str, PseudoLabels],
    *overrides: str,
) -> dict[str, dict[Role, list[tuple[int, list[float]]]]]:
    """Start a run of `staged` that mines `mined`; return what its stages learn from.

    Of every stage, by role: the images' ids and the boxes, without those of labels.
    """
    run = RunFolder(folder / "run")
    config = short_config(300, "SPARSEDET.STAGED.MINE_AT", "(0.4, 0.7)", *overrides)
    arguments: dict[str, Any] = {"method": "staged", "seed": 1, "device": "cpu"}
    start_run(config, run, scenes.dataset, scenes.images, source=scenes.annotations, **arguments)
    seen: dict[str, dict[Role, list[tuple[int, list[float]]]]] = {}

    def train_stage(
        stage: Stage, images: Sequence[TrainingImage], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        seen[stage.name] = {
            role: [
                (image.source.id, row.tolist())
                for image in images
                for row in image.boxes[image.roles == role]
            ]
            for role in (Role.LABEL, Role.MINED, Role.IGNORE_REGION)
        }
        if stage.end == 300:
            raise Ended
        return {}

    finds = iter(mined.values())

    def select(*args: Any, **kwargs: Any) -> MiningResult:
        found = next(finds)
        known = tuple(scenes.dataset.boxes)
        return MiningResult((), found.labels, found.ignored, known, Thresholds({}, {}, 0.0))

    monkeypatch.setattr(steps, "train_stage", train_stage)
    monkeypatch.setattr(pseudo_labelling, "detect_all", lambda *args, **kwargs: [])
    monkeypatch.setattr(pseudo_labelling, "select", select)
    monkeypatch.setattr(checkpoint, "build", lambda cfg: nn.Identity())
    with pytest.raises(Ended):
        run_training(run)
    return seen


def mined_box(image: int, left: float) -> Box:
    return Box(1, image, 1, (left, 2.0, left + 8, 14.0))


def rows(boxes: Sequence[Box]) -> list[tuple[int, list[float]]]:
    return [(box.image_id, list(np.array(box.xyxy, dtype=np.float32).tolist())) for box in boxes]


def test_every_stage_learns_from_what_the_last_mining_found(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (image.id for image in scenes.dataset.images[:2])
    found = {
        "stage1": PseudoLabels((mined_box(first, 3),), (1.0,), (mined_box(second, 5),)),
        "stage2": PseudoLabels((mined_box(first, 4), mined_box(second, 6)), (1.0, 1.0), ()),
    }
    seen = rows_by_stage(scenes, tmp_path, monkeypatch, found, *EVERYWHERE)
    assert list(seen) == ["stage1", "stage2", "stage3"]
    assert seen["stage1"][Role.MINED] == seen["stage1"][Role.IGNORE_REGION] == []
    assert seen["stage2"][Role.MINED] == rows(found["stage1"].labels)
    assert seen["stage2"][Role.IGNORE_REGION] == rows(found["stage1"].ignored)
    assert seen["stage3"][Role.MINED] == rows(found["stage2"].labels)
    assert seen["stage3"][Role.IGNORE_REGION] == []
    for stage in seen.values():
        assert len(stage[Role.LABEL]) == len(scenes.dataset.boxes)


def test_what_was_mined_is_left_out_where_few_labels_are_missing(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scenes.dataset.images[0].id
    labels = len(scenes.dataset.boxes)
    few = PseudoLabels((mined_box(image, 3),), (1.0,), (mined_box(image, 5),))
    many = tuple(mined_box(image, 3 + number) for number in range(labels))
    seen = rows_by_stage(
        scenes,
        tmp_path,
        monkeypatch,
        {"stage1": few, "stage2": PseudoLabels(many, (1.0,) * labels, ())},
    )
    assert seen["stage2"][Role.MINED] == seen["stage2"][Role.IGNORE_REGION] == []
    assert len(seen["stage3"][Role.MINED]) == labels
    kept = RunFolder(tmp_path / "run").mining
    left_out = [read_pseudo_labels(kept / f"stage{number}.json").left_out for number in (1, 2)]
    assert left_out == [2, 0]


def test_what_is_hidden_to_measure_on_is_ignored_and_no_background(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = dict.fromkeys(("stage1", "stage2"), NOTHING)
    seen = rows_by_stage(scenes, tmp_path, monkeypatch, nothing, "TEST.EVAL_PERIOD", "50")
    for stage in seen.values():
        assert stage[Role.IGNORE_REGION]
        assert not {str(row) for row in stage[Role.IGNORE_REGION]} & {
            str(row) for row in stage[Role.LABEL]
        }
        assert len(stage[Role.LABEL]) + len(stage[Role.IGNORE_REGION]) == len(scenes.dataset.boxes)


@pytest.mark.parametrize(
    ("iterations", "mine_at", "expected"),
    [
        (800, (0.375, 0.6875), [(0, 300), (300, 550), (550, 800)]),
        (800, (0.5,), [(0, 400), (400, 800)]),
        (800, (), [(0, 800)]),
        # Nothing is mined before iteration 100.
        (160, (0.375, 0.6875), [(0, 110), (110, 160)]),
        (120, (0.375, 0.6875), [(0, 120)]),
        (1, (0.375, 0.6875), [(0, 1)]),
    ],
)
def test_stages_part_the_iterations(
    iterations: int, mine_at: tuple[float, ...], expected: list[tuple[int, int]]
) -> None:
    keys = ["SPARSEDET.STAGED.MINE_AT", str(mine_at)]
    parts = stages(load_config("lite0_fpn", keys).staged, iterations)
    assert [(stage.start, stage.end) for stage in parts] == expected
    assert [stage.name for stage in parts] == [f"stage{k + 1}" for k in range(len(expected))]
    assert [stage.previous for stage in parts] == [None, *(stage.name for stage in parts[:-1])]
