"""Configurations: found by name or file, keys validated, methods differ only in the method."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sparsedet.config.training_config import (
    TrainingConfig,
    load_config,
    names,
    read_config,
)
from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import build


def test_the_packaged_configurations_load() -> None:
    assert names() == [
        "lite0_fpn",
        "lite1_fpn",
        "lite2_fpn",
        "mobilenet_fpn",
        "r101_fpn",
        "r50_fpn",
        "sparsedet_r101_fpn_coco",
        "sparsedet_r101_fpn_voc",
        "timm_fpn",
    ]
    for name in names():
        load_config(name)


def test_the_default_is_the_measured_one() -> None:
    config = load_config("lite0_fpn")
    assert config.node.MODEL.ANCHOR_GENERATOR.SIZES == [[22], [48], [96]]
    assert config.node.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS == [[0.67, 1.0, 1.5]]
    assert (config.input.min_size_train, config.input.max_size_train) == ((240,), 320)
    solver = config.solver
    assert (solver.optimizer, solver.base_lr, solver.max_iter) == ("AdamW", 1e-3, 800)


def test_a_file_may_build_on_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("VERSION: 2\nSOLVER:\n  MAX_ITER: 7\n  BASE_LR: 0.5\n")
    (tmp_path / "mine.yaml").write_text("_BASE_: base.yaml\nSOLVER:\n  BASE_LR: 0.25\n")
    solver = load_config(str(tmp_path / "mine.yaml")).solver
    assert (solver.max_iter, solver.base_lr) == (7, 0.25)


@pytest.mark.parametrize(
    ("pairs", "key", "value"),
    [
        (["SOLVER.MAX_ITER", "9"], "MAX_ITER", 9),
        (["SOLVER.STEPS", "(5, 7)"], "STEPS", (5, 7)),
        (["SOLVER.STEPS", "5"], "STEPS", (5,)),
        (["SOLVER.BASE_LR", "1e-2"], "BASE_LR", 0.01),
        (["SOLVER.BASE_LR", "1"], "BASE_LR", 1.0),
        (["SOLVER.OPTIMIZER", "SGD"], "OPTIMIZER", "SGD"),
    ],
)
def test_keys_can_be_set(pairs: list[str], key: str, value: object) -> None:
    assert load_config("lite0_fpn", pairs).node.SOLVER[key] == value


@pytest.mark.parametrize(
    ("name", "pairs", "message"),
    [
        ("resnet9000", [], "no configuration 'resnet9000'.*lite0_fpn"),
        ("lite0_fpn", ["SOLVER.MAX_ITERS", "9"], r"MAX_ITERS; did you mean SOLVER\.MAX_ITER\?"),
        ("lite0_fpn", ["max_iter", "9"], r"did you mean SOLVER\.MAX_ITER\?"),
        ("lite0_fpn", ["solver.base_lr", "9"], r"did you mean SOLVER\.BASE_LR\?"),
        ("lite0_fpn", ["PASTES", "9"], r"did you mean SPARSEDET\.STAGED\.PASTES\?"),
        ("lite0_fpn", ["SPAGHETTI", "9"], "no configuration key SPAGHETTI$"),
        ("lite0_fpn", ["MAX_ITER.SOLVER", "9"], "no configuration key MAX_ITER.SOLVER"),
        ("lite0_fpn", ["SOLVER.MAX_ITER", "many"], r"MAX_ITER: 'many', expected a whole number$"),
        ("lite0_fpn", ["SOLVER.BASE_LR", "(1, 2)"], r"BASE_LR: \(1, 2\), expected a number$"),
        ("lite0_fpn", ["SOLVER.OPTIMIZER", "3"], "OPTIMIZER: 3, expected a text$"),
        (
            "lite0_fpn",
            ["SOLVER.AMP", "3"],
            r"SOLVER\.AMP: a group of keys, as SOLVER\.AMP\.ENABLED",
        ),
        ("lite0_fpn", ["SOLVER.AMP", "{}"], r"SOLVER\.AMP: a group of keys"),
        ("lite0_fpn", ["SOLVER.MAX_ITER", "None"], "MAX_ITER: None, expected a whole number$"),
        ("lite0_fpn", ["SOLVER.MAX_ITER"], "'SOLVER.MAX_ITER' has no value$"),
        ("lite0_fpn", ["/"], "'/' has no value; data comes after --train$"),
        ("lite0_fpn", ["SOLVER.MAX_ITER="], "'SOLVER.MAX_ITER=' has no value$"),
        ("lite0_fpn", ["SOLVER.MAX_ITER=5"], "MAX_ITER=5'; write SOLVER.MAX_ITER 5, with a space"),
        ("lite0_fpn", ["SOLVER.MAX_ITER=5", "SOLVER.BASE_LR", "1"], "; write SOLVER.MAX_ITER 5,"),
        ("lite0_fpn", ["device", "cpu"], r"MODEL\.DEVICE is decided by --device$"),
        ("lite0_fpn", ["AMP", "True"], r"did you mean SOLVER\.AMP\?"),
        ("lite0_fpn", ["SOLVER.MAX_ITER=5", "SEED=3"], "; write SOLVER.MAX_ITER 5, with a space"),
    ],
)
def test_what_is_wrong_is_named(name: str, pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(name, pairs)


@pytest.mark.parametrize(
    ("text", "message"),
    [("SOLVER: [", r"broken\.yaml"), ("SOLVER:\n  MAX_ITERS: 4\n", r"broken\.yaml.*MAX_ITERS")],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broken.yaml").write_text("VERSION: 2\n" + text)
    with pytest.raises(ConfigError, match=message):
        load_config(str(tmp_path / "broken.yaml"))


def test_a_file_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.yaml").write_text('VERSION: 2\nX: !!python/object/apply:os.system ["touch boom"]\n')
    with pytest.raises(ConfigError, match=r"bomb\.yaml: not a usable configuration"):
        load_config("bomb.yaml")
    with pytest.raises(ConfigError, match=r"bomb\.yaml: not a usable configuration"):
        read_config(Path("bomb.yaml"))
    assert not Path("boom").exists()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["SOLVER.MAX_ITER", "0"], "SOLVER.MAX_ITER is 0, expected at least 1"),
        (["SOLVER.IMS_PER_BATCH", "0"], "expected at least 1"),
        (["SOLVER.LR_SCHEDULER_NAME", "foo"], "WarmupCosineLR"),
        (["SOLVER.OPTIMIZER", "Lion"], "SGD or AdamW"),
        (["INPUT.FORMAT", "XYZ", "MODEL.WEIGHTS", ""], "RGB or BGR"),
        (["INPUT.RANDOM_FLIP", "vertical"], "horizontal or none"),
        (["INPUT.MIN_SIZE_TRAIN", "0"], "lengths in pixels"),
        (["SPARSEDET.AUGMENTED_VIEW.JITTER", "(1.5, 0.5)"], "two factors above 0, the lower"),
        (["SPARSEDET.AUGMENTED_VIEW.LIGHTING", "-1"], "expected 0 or more"),
        (["SPARSEDET.AUGMENTED_VIEW.ERASE_AREA", "(0.7, 0.4)"], "two shares, 0 to 1, the lower"),
        (["SPARSEDET.AUGMENTED_VIEW.ERASE_ASPECT", "(0, 3)"], "two factors above 0, the lower"),
        (["SPARSEDET.STAGED.MINE_AT", "half"], r"\('half',\), expected shares of the iterations"),
        (["SPARSEDET.FEEDBACK.MAX_NEGATIVES", "0"], "expected at least 1"),
        (["SPARSEDET.MINING.QUANTILE", "7"], "a share, 0 to 1"),
        (["MODEL.BACKBONE.NAME", "nix"], "a backbone"),
        (["MODEL.RPN.HEAD_NAME", "nix"], "a head that detectron2 or sparsedet registers"),
        (
            ["DATALOADER.SAMPLER_TRAIN", "RandomSubsetTrainingSampler"],
            "expected TrainingSampler or RepeatFactorTrainingSampler",
        ),
        (["DATALOADER.REPEAT_THRESHOLD", "2.0"], "a share of the images, 0 to 1"),
        (["DATALOADER.CACHE_MIB", "-1"], "0 or more"),
        (["DATALOADER.MAX_UNREADABLE", "-1"], "0 or more"),
        (["SOLVER.BASE_LR", "1e999"], "SOLVER.BASE_LR is inf, expected more than 0"),
        (["SOLVER.WEIGHT_DECAY", "-1"], "0 or more"),
        (["SOLVER.MOMENTUM", "1"], "a share, 0 to less than 1"),
        (
            ["MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "0"],
            r"MODEL\.ROI_HEADS\.BATCH_SIZE_PER_IMAGE is 0, expected at least 1",
        ),
        (["MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", "0"], "at least 1"),
        (["MODEL.RPN.POSITIVE_FRACTION", "0"], "a share above 0"),
        (["MODEL.RPN.NMS_THRESH", "-0.1"], "an IoU, 0 to 1"),
        (["MODEL.ROI_HEADS.NMS_THRESH_TEST", "nan"], "a number"),
        (["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "2"], "a score, 0 to 1"),
        (["MODEL.ROI_HEADS.IOU_THRESHOLDS", "()"], "one or more IoUs"),
        (["MODEL.ROI_HEADS.IN_FEATURES", "()"], "one or more feature levels"),
        (["MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", "(0.0, 1, 1, 1)"], "four numbers above 0"),
        (["MODEL.ANCHOR_GENERATOR.SIZES", "[[]]"], "lists of one or more numbers above 0"),
        (["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[-1]]"], "lists of one or more numbers"),
        (["MODEL.PIXEL_STD", "[0, 1, 1]", "MODEL.WEIGHTS", ""], "three numbers above 0"),
        (["MODEL.PIXEL_MEAN", "[0, 1, 900]", "MODEL.WEIGHTS", ""], "three levels, 0 to 255"),
    ],
)
def test_values_are_checked_before_anything_runs(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("lite0_fpn", pairs)


@pytest.mark.parametrize(("key", "decides"), [("SEED", "--seed"), ("OUTPUT_DIR", "-o")])
def test_what_an_option_decides_is_no_key(key: str, decides: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: decided by {decides}"):
        load_config("lite0_fpn", [key, "3"])


def test_keys_that_a_run_folder_lacks_have_their_defaults(tmp_path: Path) -> None:
    config = load_config("lite0_fpn")
    content = yaml.safe_load(config.dump())
    del content["SPARSEDET"]["FEEDBACK"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    assert read_config(path).feedback == config.feedback


def test_a_configuration_of_a_run_that_was_cut_off_is_named(tmp_path: Path) -> None:
    dumped = load_config("lite0_fpn").dump()
    path = tmp_path / "config.yaml"
    for last in ("VIS_PERIOD:", "SOLVER:"):
        path.write_text(dumped[: dumped.index(f"\n{last}")])
        with pytest.raises(ConfigError, match=r"config\.yaml: incomplete, without .*; restore it"):
            read_config(path)


def test_a_dumped_configuration_reads_back(tmp_path: Path) -> None:
    config = load_config("sparsedet_r101_fpn_voc")
    config = config.prepared(method="end-to-end", seed=1, classes=2)
    path = tmp_path / "config.yaml"
    path.write_text(config.dump())
    again = read_config(path)
    assert yaml.safe_load(again.dump()) == yaml.safe_load(config.dump())
    assert again.differing_keys(config) == []
    path.write_text(config.dump().replace("MAX_ITER: 18000", "MAX_ITER: 0"))
    with pytest.raises(ConfigError, match=r"config\.yaml: .*MAX_ITER is 0, expected at least 1"):
        read_config(path)


@pytest.mark.parametrize(
    ("key", "given", "section", "field", "value"),
    [
        ("SPARSEDET.METHOD", "plain", "model", "method", "plain"),
        ("MODEL.DEVICE", "cpu", "model", "device", "cpu"),
        ("SOLVER.IMS_PER_BATCH", 6, "solver", "batch_size", 6),
        ("SOLVER.AMP.ENABLED", True, "solver", "mixed_precision", True),
        ("MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0], "input", "pixel_mean", (1.0, 2.0, 3.0)),
        ("INPUT.MIN_SIZE_TRAIN", 200, "input", "min_size_train", (200,)),
        ("DATALOADER.CACHE_MIB", 7, "loader", "cache_mib", 7),
        ("SPARSEDET.STAGED.PASTES", 5, "copy_paste", "max_objects", 5),
        ("SPARSEDET.STAGED.PASTE_LABELS", 9, "copy_paste", "max_labels", 9),
        ("SPARSEDET.STAGED.PASTE_SCALE", (0.5, 2.0), "copy_paste", "scale", (0.5, 2.0)),
        ("SPARSEDET.STAGED.ZOOM_SHARE", 1, "scale_jitter", "share", 1.0),
        ("SPARSEDET.STAGED.ZOOM", (0.5, 2.0), "scale_jitter", "scale", (0.5, 2.0)),
        ("SPARSEDET.STAGED.MINE_AT", (0.5,), "staged", "mine_at", (0.5,)),
        ("TEST.EVAL_PERIOD", 3, "validation", "eval_period", 3),
    ],
)
def test_sections_and_the_tree_hold_the_same(
    key: str, given: object, section: str, field: str, value: object
) -> None:
    before = load_config("lite0_fpn")
    config = before.with_values({key: given})
    assert getattr(getattr(config, section), field) == value
    changed = [] if key == "MODEL.DEVICE" else [key]
    assert config.differing_keys(before) == before.differing_keys(config) == changed


def test_other_values_are_checked_and_change_nothing_else() -> None:
    config = load_config("lite0_fpn")
    with pytest.raises(ConfigError, match=r"MINING\.QUANTILE is 7\.0, expected a share, 0 to 1"):
        config.with_values({"SPARSEDET.MINING.QUANTILE": 7})
    with pytest.raises(ConfigError, match=r"no configuration key SOLVER\.MAX_ITERS"):
        config.with_values({"SOLVER.MAX_ITERS": 7})
    with pytest.raises(AttributeError, match="immutable"):
        config.node.SEED = 3
    assert config.mining.quantile == 0.3


def test_where_a_run_happens_is_no_part_of_its_result() -> None:
    here = load_config("lite0_fpn").with_values({"MODEL.DEVICE": "cpu", "OUTPUT_DIR": "here"})
    there = here.with_values({"MODEL.DEVICE": "cuda", "OUTPUT_DIR": "there"})
    assert here.differing_keys(there) == []
    assert here.dump_result_keys() == there.dump_result_keys() != here.dump()


@pytest.mark.parametrize("name", names())
def test_every_configuration_is_usable(name: str) -> None:
    config = load_config(name).prepared(method="plain", seed=1, classes=2)
    config = config.with_values({"MODEL.DEVICE": "cpu"})
    model: Any = build(config.node)
    assert model.input_format == config.input.format
    levels = model.backbone.output_shape()
    assert set(config.node.MODEL.RPN.IN_FEATURES) <= levels.keys()


def test_methods_differ_in_nothing_but_the_method() -> None:
    def prepared(method: str) -> TrainingConfig:
        return load_config("lite0_fpn").prepared(method=method, seed=1, classes=2)

    plain, staged, end_to_end = (prepared(method) for method in ("plain", "staged", "end-to-end"))
    assert plain.differing_keys(prepared("augmented")) == ["SPARSEDET.METHOD"]
    assert plain.differing_keys(staged) == ["SPARSEDET.METHOD"]
    assert set(plain.differing_keys(end_to_end)) == {
        "SPARSEDET.METHOD",
        "MODEL.META_ARCHITECTURE",
        "DATALOADER.FILTER_EMPTY_ANNOTATIONS",
    }
    with pytest.raises(ConfigError, match="plain, augmented, end-to-end, staged"):
        prepared("magic")


@pytest.mark.parametrize(
    ("ranks", "keys", "message"),
    [
        (3, [], "IMS_PER_BATCH is 4, which 3 processes can't share evenly"),
        (2, ["SOLVER.ACCUMULATION", "4"], "can't split the 2 images of a process evenly"),
        (2, ["SOLVER.ACCUMULATION", "2"], None),
        (1, ["SOLVER.ACCUMULATION", "4"], None),
    ],
)
def test_batches_are_split_evenly_or_not_at_all(
    ranks: int, keys: list[str], message: str | None
) -> None:
    solver = load_config("lite0_fpn", ["SOLVER.IMS_PER_BATCH", "4", *keys]).solver
    if message is None:
        solver.check_shares(ranks)
        return
    with pytest.raises(ConfigError, match=message):
        solver.check_shares(ranks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_BASE_: http://127.0.0.1:9/a.yaml", "_BASE_ is 'http://127.0.0.1:9/a.yaml', expected"),
        ("_BASE_: [5]", "_BASE_ is 5, expected the path of a file"),
        ("_BASE_: own.yaml", "own.yaml: based on more than 20 files"),
        ("_BASE_: gone.yaml", "gone.yaml: not a usable configuration .no such file"),
        ("", "has no keys"),
        ("SEED: " + "9" * 5000, "not valid YAML"),
        ("a: &a [1]\nb: [" + ", ".join(["*a"] * 60_000) + "]", "expands to more than 100,000"),
    ],
)
def test_a_file_is_based_on_local_files_of_ordinary_size(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_config(str(path))
    assert len(str(error.value)) < 500
