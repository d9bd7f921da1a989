"""Configurations: found by name or file, keys checked, methods in nothing but the method."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from detectron2.config import CfgNode

from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import build
from sparsedet.training.config.loading import load_config, names, read_config
from sparsedet.training.config.methods import METHODS, apply_method
from sparsedet.training.engine.train import prepare_config


def test_the_packaged_configurations_load() -> None:
    assert names() == [
        "lite0_fpn",
        "r101_fpn",
        "r50_fpn",
        "sparsedet_r101_fpn_coco",
        "sparsedet_r101_fpn_voc",
        "timm_fpn",
    ]
    for name in names():
        load_config(name)


def test_the_default_is_the_measured_one() -> None:
    cfg = load_config("lite0_fpn")
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[22], [48], [96]]
    assert cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS == [[0.67, 1.0, 1.5]]
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN) == ((240,), 320)
    assert (cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER) == ("AdamW", 1e-3, 800)


def test_a_file_may_build_on_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("VERSION: 2\nSOLVER:\n  MAX_ITER: 7\n  BASE_LR: 0.5\n")
    (tmp_path / "mine.yaml").write_text("_BASE_: base.yaml\nSOLVER:\n  BASE_LR: 0.25\n")
    cfg = load_config(str(tmp_path / "mine.yaml"))
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR) == (7, 0.25)


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
    assert load_config("lite0_fpn", pairs).SOLVER[key] == value


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
    for read in (lambda: load_config("bomb.yaml"), lambda: read_config(Path("bomb.yaml"))):
        with pytest.raises(ConfigError, match=r"bomb\.yaml: not a usable configuration"):
            read()
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
    ],
)
def test_values_are_checked_before_anything_runs(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare_config(load_config("lite0_fpn", pairs), method="plain", seed=1, classes=2)


@pytest.mark.parametrize(("key", "decides"), [("SEED", "--seed"), ("OUTPUT_DIR", "-o")])
def test_what_an_option_decides_is_no_key(key: str, decides: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: decided by {decides}"):
        load_config("lite0_fpn", [key, "3"])


def test_a_dumped_configuration_reads_back(tmp_path: Path) -> None:
    cfg = load_config("sparsedet_r101_fpn_voc")
    apply_method(cfg, "end-to-end")
    (tmp_path / "config.yaml").write_text(cfg.dump())
    again = read_config(tmp_path / "config.yaml")
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cfg.dump())


def test_the_configuration_of_an_older_run_reads_with_todays_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = load_config("lite0_fpn")
    older = yaml.safe_load(cfg.dump())
    del older["SPARSEDET"]["FEEDBACK"]
    older["SPARSEDET"]["STAGED"]["OBJECTS"] = False
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(older))
    assert read_config(tmp_path / "config.yaml").SPARSEDET.FEEDBACK == cfg.SPARSEDET.FEEDBACK
    assert not caplog.messages


def different(first: CfgNode, second: CfgNode, prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in first.items():
        if isinstance(value, CfgNode):
            keys |= different(value, second[key], f"{prefix}{key}.")
        elif value != second[key]:
            keys.add(prefix + key)
    return keys


@pytest.mark.parametrize("name", names())
def test_every_configuration_is_usable(name: str) -> None:
    cfg = prepare_config(load_config(name), method="plain", seed=1, classes=2)
    cfg.MODEL.DEVICE = "cpu"
    model: Any = build(cfg)
    assert model.input_format == cfg.INPUT.FORMAT
    levels = model.backbone.output_shape()
    assert set(cfg.MODEL.RPN.IN_FEATURES) <= levels.keys()


def test_methods_differ_in_nothing_but_the_method() -> None:
    settings = {}
    for method in METHODS:
        settings[method] = load_config("lite0_fpn")
        apply_method(settings[method], method)
    assert different(settings["plain"], settings["staged"]) == {"SPARSEDET.METHOD"}
    assert different(settings["plain"], settings["end-to-end"]) == {
        "SPARSEDET.METHOD",
        "MODEL.META_ARCHITECTURE",
        "DATALOADER.FILTER_EMPTY_ANNOTATIONS",
    }
    with pytest.raises(ConfigError, match="plain, end-to-end, staged"):
        apply_method(settings["plain"], "magic")
