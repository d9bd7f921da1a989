"""Configuration that weights of a known source require: colours, stride, anchors.

A detector whose colours differ from its backbone's pretraining still trains, only worse.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import timm
from detectron2.config import CfgNode, get_cfg

from sparsedet.errors import ConfigError
from sparsedet.modeling.config import add_sparsedet_config
from sparsedet.modeling.timm_backbone import BUILDER, check_name
from sparsedet.modeling.weights.coco_detectors import (
    CAFFE2_INPUT,
    STRIDE,
    TORCHVISION_INPUT,
    USUAL,
    coco_detector,
)
from sparsedet.modeling.weights.resnet_weights import TORCHVISION
from sparsedet.modeling.weights.timm_weights import HUB, PACKAGE

_COLOURS, _MEAN, _STD = "INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"
# Not part of the input, but as easily forgotten: batch norm's epsilon (0: the timm model's own).
_EPS = "MODEL.TIMM.BATCH_NORM_EPS"

_TORCHVISION = {**TORCHVISION_INPUT, STRIDE: False, _EPS: 0.0}
_MSRA = {**CAFFE2_INPUT, STRIDE: True}
RESNEXT = _MSRA | {_STD: [57.375, 57.12, 58.395], STRIDE: False}
_LITE = {_COLOURS: "RGB", _MEAN: [127.0] * 3, _STD: [128.0] * 3, _EPS: 0.001}
_ZOO = (
    (re.compile(r"(^|/)MSRA/R-\d+\.pkl"), _MSRA),
    (re.compile(r"(^|/)torchvision/R-\d+\.pkl"), _TORCHVISION),
    (re.compile(r"(^|/)FAIR/X-101-32x8d\.pkl"), RESNEXT),
    (re.compile(r"(^|/)COCO-Detection/faster_rcnn_R_\d+_"), _MSRA),
)
_NAMED = (_COLOURS, _MEAN, _STD, STRIDE, _EPS)
"""The keys that errors always name."""
_TOLERANCE = 0.1
"""Colour tolerance, in levels of 0 to 255."""


def needed_values(cfg: CfgNode) -> Mapping[str, Any]:
    """Return the configuration values that MODEL.WEIGHTS requires, by key.

    Nothing is known about checkpoints and the user's own files.

    Raises:
        ConfigError: when the weights are of an unknown timm model, or of a COCO detector with
            another backbone.
    """
    source: str = cfg.MODEL.WEIGHTS
    known: Mapping[str, Any] = {}
    if (detector := coco_detector(cfg)) is not None:
        known = detector.needs
    elif source.startswith(PACKAGE):
        known = _LITE
    elif source.startswith(TORCHVISION):
        known = _TORCHVISION
    elif source == HUB:
        check_name(cfg.MODEL.TIMM.NAME)
        pretrained = timm.get_pretrained_cfg(cfg.MODEL.TIMM.NAME)
        if pretrained is not None:
            known = {
                _COLOURS: "RGB",
                _MEAN: _levels(pretrained.mean),
                _STD: _levels(pretrained.std),
                _EPS: 0.0,
            }
    else:
        known = next((values for pattern, values in _ZOO if pattern.search(source)), {})
    other = STRIDE if cfg.MODEL.BACKBONE.NAME == BUILDER else _EPS
    return {key: value for key, value in known.items() if key != other}


def follow_weights(
    cfg: CfgNode, *, former: Mapping[str, Any] | None = None, given: Collection[str] = ()
) -> None:
    """Set the values that MODEL.WEIGHTS requires, unless chosen otherwise.

    Args:
        cfg: modified in place.
        former: `needed_values` before MODEL.WEIGHTS changed: such values are replaced as well.
        given: keys chosen by the user, with any value.

    Raises:
        ConfigError: when a chosen value conflicts, naming all that the weights require.
    """
    former = former or {}
    defaults = get_cfg()
    add_sparsedet_config(defaults)
    known = needed_values(cfg)
    for key, wanted in known.items():
        value = _get(cfg, key)
        if _is_same(key, value, wanted):
            continue
        before = [values[key] for values in (former, USUAL) if key in values]
        untouched = [_get(defaults, key), *before]
        if key in given or not any(_is_same(key, value, other) for other in untouched):
            raise _contradiction(cfg, known, key)
        cfg.merge_from_list([key, wanted])


def check_needed(cfg: CfgNode, known: Mapping[str, Any]) -> None:
    """Check that a configuration has the values required by its weights.

    Raises:
        ConfigError: naming the first conflict, and all that the weights require.
    """
    for key, wanted in known.items():
        if not _is_same(key, _get(cfg, key), wanted):
            raise _contradiction(cfg, known, key)


def _contradiction(cfg: CfgNode, known: Mapping[str, Any], key: str) -> ConfigError:
    """Return the error for a key, naming the input's values and all conflicts."""
    needs = ", ".join(
        f"{name} {needed}"
        for name, needed in known.items()
        if name in _NAMED or not _is_same(name, _get(cfg, name), needed)
    )
    return ConfigError(
        f"configuration key {key} is {_get(cfg, key)}, but MODEL.WEIGHTS {cfg.MODEL.WEIGHTS} needs "
        f"{needs}; set these"
    )


def _levels(shares: Any) -> list[float]:
    """Convert fractions of 1 to levels of 0 to 255."""
    return [round(share * 255, 3) for share in shares]


def _get(cfg: Any, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def _is_same(key: str, value: Any, other: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(
            _is_same(key, one, two) for one, two in zip(value, other, strict=True)
        )
    if key in (_MEAN, _STD):
        return bool(abs(value - other) <= _TOLERANCE)
    return bool(value == other)
