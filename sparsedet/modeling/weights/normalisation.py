"""The colour order and normalisation that weights need, for weights whose source says.

A detector that sees other colours than its pretrained backbone trains all the same, only worse.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import timm
from detectron2.config import CfgNode, get_cfg

from sparsedet.errors import ConfigError
from sparsedet.modeling.config import add_sparsedet_config
from sparsedet.modeling.timm_backbone import BUILDER, check_name
from sparsedet.modeling.weights.resnet_weights import TORCHVISION
from sparsedet.modeling.weights.timm_weights import HUB, PACKAGE

_COLOURS, _MEAN, _STD = "INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"
# Not of the input, but as easily forgotten: which convolution of a ResNet's block strides, and
# what batch norm adds to the variance (0: the timm model's own).
_STRIDE, _EPS = "MODEL.RESNETS.STRIDE_IN_1X1", "MODEL.TIMM.BATCH_NORM_EPS"

_TORCHVISION = {
    _COLOURS: "RGB",
    _MEAN: [123.675, 116.28, 103.53],
    _STD: [58.395, 57.12, 57.375],
    _STRIDE: False,
    _EPS: 0.0,
}
# The deviations are part of the first convolution.
_MSRA = {_COLOURS: "BGR", _MEAN: [103.53, 116.28, 123.675], _STD: [1.0, 1.0, 1.0], _STRIDE: True}
_RESNEXT = _MSRA | {_STD: [57.375, 57.12, 58.395], _STRIDE: False}
_LITE = {_COLOURS: "RGB", _MEAN: [127.0] * 3, _STD: [128.0] * 3, _EPS: 0.001}
_ZOO = (
    (re.compile(r"(^|/)MSRA/R-\d+\.pkl"), _MSRA),
    (re.compile(r"(^|/)torchvision/R-\d+\.pkl"), _TORCHVISION),
    (re.compile(r"(^|/)FAIR/X-101-32x8d\.pkl"), _RESNEXT),
    (re.compile(r"(^|/)COCO-Detection/faster_rcnn_R_\d+_"), _MSRA),
)
_TOLERANCE = 0.1
"""In levels of 0 to 255."""


def needed_values(cfg: CfgNode) -> Mapping[str, Any]:
    """Return the values of configuration keys that MODEL.WEIGHTS needs, by key.

    Nothing is known of checkpoints and files of one's own.

    Raises:
        ConfigError: when the weights are those of an unknown timm model.
    """
    source: str = cfg.MODEL.WEIGHTS
    known: Mapping[str, Any] = {}
    if source.startswith(PACKAGE):
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
    other = _STRIDE if cfg.MODEL.BACKBONE.NAME == BUILDER else _EPS
    return {key: value for key, value in known.items() if key != other}


def follow_weights(
    cfg: CfgNode, *, former: Mapping[str, Any] | None = None, given: Collection[str] = ()
) -> None:
    """Set colour order and normalisation to those of MODEL.WEIGHTS, where they were not chosen.

    Args:
        cfg: changed in place.
        former: what `needed_values` said before MODEL.WEIGHTS changed: such values follow as well.
        given: keys that were chosen, whatever their value.

    Raises:
        ConfigError: when a chosen value is another, naming all that the weights need.
    """
    former = former or {}
    defaults = get_cfg()
    add_sparsedet_config(defaults)
    known = needed_values(cfg)
    for key, wanted in known.items():
        value = _get(cfg, key)
        if _is_same(value, wanted):
            continue
        untouched = [_get(defaults, key), *([former[key]] if key in former else [])]
        if key in given or not any(_is_same(value, other) for other in untouched):
            needs = ", ".join(f"{name} {needed}" for name, needed in known.items())
            raise ConfigError(
                f"configuration key {key} is {value}, but MODEL.WEIGHTS {cfg.MODEL.WEIGHTS} needs "
                f"{needs}; set these"
            )
        cfg.merge_from_list([key, wanted])


def _levels(shares: Any) -> list[float]:
    """Return shares of 1 as levels of 0 to 255."""
    return [round(share * 255, 3) for share in shares]


def _get(cfg: Any, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(
            abs(one - two) <= _TOLERANCE for one, two in zip(value, other, strict=True)
        )
    return bool(value == other)
