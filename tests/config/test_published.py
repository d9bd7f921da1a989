"""The published commands, key by key, on tiny files instead of COCO and VOC."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparsedet.annotations import write_coco
from sparsedet.cli.app import app
from sparsedet.config.published import read_published
from sparsedet.config.training_config import read_config
from sparsedet.errors import ConfigError
from sparsedet.run_folder import RunFolder
from tests.conftest import Scenes

SHARED = [
    *("FIXMATCH", "True"),
    *("FIXMATCH_STRONG_AUG", "True"),
    *("MASK_BOXES_THRESH", "0.8"),
    *("MASK_BOXES_RPN", "True"),
    *("DISTILLATION_LOSS_WEIGHT", "1.0"),
    *("DET_THRESH", "0.0"),
    *("CONSISTENCY_REGULARIZATION", "False"),
    *("DATALOADER.NUM_WORKERS", "8"),
    *("SOLVER.IMS_PER_BATCH", "8"),
    *("SOLVER.BASE_LR", "0.01"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "256"),
    *("MODEL.ROI_HEADS.POSITIVE_FRACTION", "0.5"),
    *("SEED", "1234"),
]
COCO = [
    *("OUTPUT_DIR", "experiments_coco_fpn/split1_30p"),
    *("DATASETS.TRAIN", "('split1_30p',)"),
    *("DATASETS.TEST", "('coco_val',)"),
    *("MASK_BOXES", "30000"),
    *SHARED,
]
VOC = [
    *("OUTPUT_DIR", "experiments_voc_fpn/split5_50p"),
    *("DATASETS.TRAIN", "split5_50p"),
    *("DATASETS.TEST", "voc_test"),
    *("MASK_BOXES", "9000"),
    *SHARED,
]
# A full-size R-101 step would take minutes here: later keys win over the published ones.
SMALL = [
    *("MODEL.WEIGHTS", ""),
    *("MODEL.RESNETS.DEPTH", "50"),
    *("INPUT.MIN_SIZE_TRAIN", "(64,)"),
    *("INPUT.MIN_SIZE_TEST", "64"),
    *("SOLVER.IMS_PER_BATCH", "2"),
    *("SOLVER.MAX_ITER", "2"),
    *("MASK_BOXES", "0"),
    *("DATALOADER.NUM_WORKERS", "0"),
]


def test_coco_values() -> None:
    command = read_published(COCO, None)
    assert (command.method, command.seed) == ("end-to-end", 1234)
    assert (command.train, command.test) == ("split1_30p", "coco_val")
    assert command.output == "experiments_coco_fpn/split1_30p"
    cfg = command.config.node
    assert cfg.MODEL.RESNETS.DEPTH == 101
    assert cfg.MODEL.PIXEL_MEAN == [103.53, 116.28, 123.675]
    assert cfg.INPUT.FORMAT == "BGR"
    assert tuple(range(480, 801, 32)) == cfg.INPUT.MIN_SIZE_TRAIN
    assert cfg.INPUT.MIN_SIZE_TEST == 800
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR) == (8, 0.01)
    assert (cfg.SOLVER.STEPS, cfg.SOLVER.MAX_ITER) == ((210000, 250000), 270000)
    assert cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE == 256
    assert cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER == 30000
    assert cfg.SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH == 0.8


def test_voc_values() -> None:
    cfg = read_published(VOC, None).config.node
    assert (cfg.SOLVER.STEPS, cfg.SOLVER.MAX_ITER) == ((12000, 16000), 18000)
    assert cfg.SOLVER.WARMUP_ITERS == 100
    assert cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER == 9000


def test_published_configuration_files_have_ours_in_their_place() -> None:
    command = read_published(COCO, "configs/faster_rcnn_R_101_FPN_3x_voc_18k.yaml")
    assert command.config.solver.max_iter == 18000


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        (["MASK_BOXES_RPN", "False"], "ENABLED", False),
        (["MASK_BOXES_THRESH", "0.7"], "OBJECTNESS_THRESH", 0.7),
        (["DISTILLATION_LOSS_WEIGHT", "0.5"], "LOSS_WEIGHT", 0.5),
    ],
)
def test_own_keys_reach_their_readable_names(change: list[str], key: str, value: object) -> None:
    assert read_published(COCO + change, None).config.node.SPARSEDET.PSEUDO_POSITIVES[key] == value


def test_without_fixmatch_it_is_a_plain_detector() -> None:
    assert read_published([*COCO, "FIXMATCH", "False"], None).method == "plain"


def test_the_seed_of_the_command_or_none() -> None:
    assert read_published([*COCO, "SEED", "-1"], None).seed is None
    with pytest.raises(ConfigError, match="whole number"):
        read_published([*COCO, "SEED", "soon"], None)


def test_det_thresh_warns(caplog: pytest.LogCaptureFixture) -> None:
    read_published(COCO, None)
    assert "DET_THRESH has no effect" in caplog.text


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([*COCO, "CONSISTENCY_REGULARIZATION", "True"], "broken"),
        ([*COCO, "MASK_BOXEN", "1"], "no configuration key MASK_BOXEN"),
        ([*COCO, "SOLVER.BASE_LR"], "has no value"),
        (["FIXMATCH", "True"], "DATASETS.TRAIN is missing"),
    ],
)
def test_what_cannot_be_meant(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_published(pairs, None)


def test_published_image_sizes_can_not_be_chosen_automatically() -> None:
    with pytest.raises(ConfigError, match="drop --config auto"):
        read_published(COCO, "auto")


@pytest.mark.parametrize(
    ("pairs", "train", "test", "image_folders"),
    [
        (
            COCO,
            "splits/split1_30p.json",
            "coco/annotations/instances_val2017.json",
            "coco/train2017 coco/val2017",
        ),
        (VOC, "splits/split5_50p.json", "splits/voc_test.json", "voc"),
    ],
    ids=["coco", "voc"],
)
def test_a_published_command_trains(
    scenes: Scenes,
    tmp_path: Path,
    pairs: list[str],
    train: str,
    test: str,
    image_folders: str,
) -> None:
    few = scenes.dataset.with_images(scenes.dataset.images[:4])
    # The published method keeps images without labels.
    few = few.with_boxes(box for box in few.boxes if box.image_id != few.images[0].id)
    for folder in image_folders.split():
        (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder).symlink_to(scenes.images, target_is_directory=True)
    write_coco(few, tmp_path / train)
    write_coco(replace(few, images=few.images), tmp_path / test)
    output = str(tmp_path / "run")
    result = CliRunner().invoke(
        app,
        [
            "train",
            "--published",
            "--data-root",
            str(tmp_path),
            *pairs,
            *SMALL,
            "OUTPUT_DIR",
            output,
        ],
    )
    assert result.exit_code == 0, result.output
    run = RunFolder(Path(output))
    assert (run.info().method, run.info().seed) == ("end-to-end", 1234)
    assert run.model.is_file()
    assert read_config(run.config).node.SPARSEDET.PSEUDO_POSITIVES.LOSS_WEIGHT == 1.0
