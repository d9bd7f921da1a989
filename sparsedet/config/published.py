"""The command line of the published SparseDet code, key by key.

`--published KEY VALUE ...` accepts the keys of the authors' commands unchanged. detectron2's keys
keep their meaning; these are the authors' own.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode

from sparsedet.config.key_values import (
    GIVEN_ELSEWHERE,
    check_pairs,
    parse_value,
    set_key,
)
from sparsedet.config.training_config import TrainingConfig, is_auto, load_node
from sparsedet.errors import ConfigError

logger = logging.getLogger(__name__)

_COCO_CONFIG, _VOC_CONFIG = "sparsedet_r101_fpn_coco", "sparsedet_r101_fpn_voc"
CONFIG_FILES = {
    "faster_rcnn_R_101_FPN_3x_mod.yaml": _COCO_CONFIG,
    "faster_rcnn_R_101_FPN_3x_voc_18k.yaml": _VOC_CONFIG,
}
"""The published configuration files -> our equivalents."""

_GIVEN_BY_THE_COMMAND = {"OUTPUT_DIR", "DATASETS.TRAIN", "DATASETS.TEST", "SEED"}
"""Keys that are not part of the configuration."""
_VOC_NAMES = ("split4_", "split5_")


@dataclass(frozen=True, slots=True)
class PublishedCommand:
    """A published command in our terms."""

    config: TrainingConfig
    method: str
    train: str
    test: str | None
    output: str | None
    seed: int | None


def read_published(pairs: Sequence[str], config: str | None) -> PublishedCommand:
    """Translate the `KEY VALUE` pairs of a published command; later pairs win.

    Args:
        pairs: the pairs as given.
        config: configuration name or published file; None: COCO's or VOC's by the training data.

    Raises:
        ConfigError: naming the key that is unknown, or has an invalid value.
    """
    check_pairs(pairs)
    values = {key: parse_value(text) for key, text in zip(pairs[::2], pairs[1::2], strict=True)}
    train = _single(values, "DATASETS.TRAIN")
    if train is None:
        raise ConfigError("--published: DATASETS.TRAIN is missing, e.g. DATASETS.TRAIN split1_30p")
    if config is None:
        config = _VOC_CONFIG if train.startswith(_VOC_NAMES) else _COCO_CONFIG
    if is_auto(config):
        raise ConfigError("--published sets the image sizes itself: drop --config auto")
    cfg = load_node(CONFIG_FILES.get(config.rsplit("/", 1)[-1], config))
    # Without the flag FIXMATCH, the published script trains a plain detector.
    method = "end-to-end" if values.get("FIXMATCH", False) else "plain"
    for key, value in values.items():
        if key in _OWN_KEYS:
            _OWN_KEYS[key](cfg, value)
        elif key not in _GIVEN_BY_THE_COMMAND:
            if key in GIVEN_ELSEWHERE:
                raise ConfigError(f"{key}: decided by {GIVEN_ELSEWHERE[key]}")
            set_key(cfg, key, value)
    return PublishedCommand(
        config=TrainingConfig.of(cfg),
        method=method,
        train=train,
        test=_single(values, "DATASETS.TEST"),
        output=values.get("OUTPUT_DIR"),
        seed=_seed(values.get("SEED", cfg.SEED)),
    )


def _seed(value: Any) -> int | None:
    """Return the seed; detectron2's -1 means a random one."""
    if not isinstance(value, int):
        raise ConfigError(f"SEED {value!r}: expected a whole number")
    return value if value >= 0 else None


def _single(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if isinstance(value, tuple | list):
        if len(value) != 1:
            raise ConfigError(f"{key} {value}: expected one dataset")
        value = value[0]
    return None if value is None else str(value)


def _to(key: str) -> Callable[[CfgNode, Any], None]:
    return lambda cfg, value: set_key(cfg, key, value)


def _noted(cfg: CfgNode, value: Any) -> None:
    """Accept a key that the method implies."""


def _det_thresh(cfg: CfgNode, value: Any) -> None:
    logger.warning("DET_THRESH has no effect: the published code reads it and never uses it")


def _consistency_regularization(cfg: CfgNode, value: Any) -> None:
    if value:
        raise ConfigError(
            "CONSISTENCY_REGULARIZATION True: that branch of the published code is broken and not "
            "part of the method; leave it False"
        )


_OWN_KEYS: Mapping[str, Callable[[CfgNode, Any], None]] = {
    "FIXMATCH": _noted,
    "FIXMATCH_STRONG_AUG": _to("SPARSEDET.AUGMENTED_VIEW.ERASE"),
    "MASK_BOXES": _to("SPARSEDET.PSEUDO_POSITIVES.START_ITER"),
    "MASK_BOXES_THRESH": _to("SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH"),
    # Despite its name, it enables mining, not the RPN's loss.
    "MASK_BOXES_RPN": _to("SPARSEDET.PSEUDO_POSITIVES.ENABLED"),
    "DISTILLATION_LOSS_WEIGHT": _to("SPARSEDET.PSEUDO_POSITIVES.LOSS_WEIGHT"),
    "DET_THRESH": _det_thresh,
    "CONSISTENCY_REGULARIZATION": _consistency_regularization,
}
