"""Any timm model as a backbone with a feature pyramid and frozen batch norms."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparsedet.errors import ConfigError
from sparsedet.modeling.frozen_norms import fold_frozen_norms
from sparsedet.wording import first_of

BUILDER = "build_timm_fpn_backbone"
"""The MODEL.BACKBONE.NAME of these backbones."""
_KEY = "MODEL.TIMM.NAME"
_WRAPPERS = ("", "model.", "body.")
"""Prefix that timm adds to a model's module names in feature mode."""
_PROBE = (64, 96)
"""Height and width of an image that a detector's backbone must support."""
_MAX_DETAIL = 200


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Build a timm backbone with FPN from cfg.MODEL.TIMM and cfg.MODEL.FPN, with random weights.

    Raises:
        ConfigError: when the timm model is unknown, or doesn't support the request.
    """
    check_timm(cfg)
    levels = list(cfg.MODEL.TIMM.OUT_FEATURES)
    model = create_features(
        cfg.MODEL.TIMM.NAME, levels, cfg.MODEL.TIMM.BATCH_NORM_EPS, input_shape.channels
    )
    return FPN(
        bottom_up=TimmBackbone(model, levels, cfg.MODEL.TIMM.FREEZE_THROUGH),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool() if "p6" in cfg.MODEL.RPN.IN_FEATURES else None,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


class TimmBackbone(Backbone):
    """The stages of a timm model as detectron2 features c2, c3, ... (level = log2 of the stride).

    Args:
        model: built by timm with `features_only=True` for exactly `out_features`.
        out_features: names of the levels, in ascending order.
        freeze_through: stages up to this level are frozen; "" trains all.
    """

    def __init__(self, model: nn.Module, out_features: list[str], freeze_through: str) -> None:
        super().__init__()
        info: Any = model.feature_info
        self._out_features = out_features
        self._out_feature_channels = dict(zip(out_features, info.channels(), strict=True))
        self._out_feature_strides = dict(zip(out_features, info.reduction(), strict=True))
        self._is_channels_last = is_channels_last(model)
        fold_frozen_norms(model)
        self.model = model
        if freeze_through:
            self._freeze(info.module_name()[out_features.index(freeze_through)])

    def _freeze(self, stage: str) -> None:
        """Freeze the modules up to `stage`; they are in order of execution."""
        # timm joins module names of some models with underscores: `stages_1` is `stages.1`.
        names = [f"{wrapper}{stage}.".replace(".", "_") for wrapper in _WRAPPERS]
        modules = list(self.model.named_modules())
        ends = [
            index
            for index, (name, _) in enumerate(modules)
            if f"{name}.".replace(".", "_").startswith(tuple(names))
        ]
        if not ends:
            raise ConfigError(
                f"MODEL.TIMM.FREEZE_THROUGH: can't find the end of stage {stage} in this timm "
                'model; train all of it with ""'
            )
        for _, module in modules[: ends[-1] + 1]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = False

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the feature maps of an image batch, shape (N, 3, H, W), by level."""
        maps = self.model(x)
        if self._is_channels_last:
            maps = [found.permute(0, 3, 1, 2).contiguous() for found in maps]
        return dict(zip(self._out_features, maps, strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each level."""
        return {
            name: ShapeSpec(
                channels=self._out_feature_channels[name], stride=self._out_feature_strides[name]
            )
            for name in self._out_features
        }


def check_timm(cfg: CfgNode) -> None:
    """Check cfg.MODEL.TIMM and MODEL.FPN.IN_FEATURES against the timm model.

    Raises:
        ConfigError: naming the key, its value and the expected value.
    """
    name = cfg.MODEL.TIMM.NAME
    offered = list(timm_features(name).levels)
    levels = list(cfg.MODEL.TIMM.OUT_FEATURES)
    if not levels or levels != [level for level in offered if level in levels]:
        raise ConfigError(
            f"MODEL.TIMM.OUT_FEATURES {levels}: {name} has the levels {', '.join(offered)}; "
            "choose some of them, in this order"
        )
    frozen = cfg.MODEL.TIMM.FREEZE_THROUGH
    if frozen and frozen not in levels:
        raise ConfigError(
            f"MODEL.TIMM.FREEZE_THROUGH {frozen}: expected one of MODEL.TIMM.OUT_FEATURES "
            f'({", ".join(levels)}), or "" to train all'
        )
    pyramid = list(cfg.MODEL.FPN.IN_FEATURES)
    first = levels.index(pyramid[0]) if pyramid and pyramid[0] in levels else None
    if first is None or pyramid != levels[first : first + len(pyramid)] or not _is_gapless(pyramid):
        raise ConfigError(
            f"MODEL.FPN.IN_FEATURES {pyramid}: expected neighbouring levels of "
            f"MODEL.TIMM.OUT_FEATURES ({', '.join(levels)})"
        )


def _is_gapless(levels: list[str]) -> bool:
    numbers = [int(level.removeprefix("c")) for level in levels]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@dataclass(frozen=True, slots=True)
class TimmFeatures:
    """The feature maps of a timm model."""

    levels: Mapping[str, int]
    """timm's index of each level c1, c2, ... (level = log2 of the stride), ascending."""
    options: Mapping[str, Any]
    """Arguments for building the model to accept images of any size."""


def create_timm(name: str, batch_norm_eps: float, **options: Any) -> nn.Module:
    """Return a timm model with random weights; a `batch_norm_eps` of 0 keeps its own."""
    model: nn.Module = timm.create_model(name, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and batch_norm_eps > 0:
            module.eps = batch_norm_eps
    return model


def create_features(
    name: str, levels: Sequence[str], batch_norm_eps: float, channels: int = 3
) -> nn.Module:
    """Return a timm model for the feature maps of `levels`, with random weights."""
    offered = timm_features(name)
    model = create_timm(
        name,
        batch_norm_eps,
        features_only=True,
        out_indices=[offered.levels[level] for level in levels],
        in_chans=channels,
        **offered.options,
    )
    for module in model.modules():
        # Zero-initialised residual branches would stay off forever before a frozen norm.
        if isinstance(module, _BatchNorm) and module.affine and not module.weight.any():
            nn.init.ones_(module.weight)
    return model


@cache
def timm_features(name: str) -> TimmFeatures:
    """Return the feature maps of the model `name`, probed with a blank image.

    Raises:
        ConfigError: for an unknown name, or a model unsuitable for detectors.
    """
    check_name(name)
    # Must not consume random numbers, whether the model was built here before or not.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        problems = []
        for options in _size_options(name):
            try:
                model = timm.create_model(name, features_only=True, **options).eval()
                maps = model(torch.zeros(1, 3, *_PROBE))
            except Exception as error:
                # Models raise anything for unsupported requests.
                problems.append(" ".join(str(error).split())[:_MAX_DETAIL])
                continue
            return TimmFeatures(_levels(name, model, maps), options)
    raise ConfigError(
        f"{_KEY} {name}: not a backbone for images of any size ({problems[-1]}); "
        "choose another model"
    )


def check_name(name: str) -> None:
    """Check that timm knows a model, and its weights if the name has a tag after a dot.

    Raises:
        ConfigError: with similar names.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        similar = difflib.get_close_matches(architecture.lower(), timm.list_models(), n=4)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "see timm.list_models()"
        raise ConfigError(f"{_KEY} {name}: timm has no such model; {hint}")
    if tag and name not in (known := timm.list_pretrained(f"{architecture}.*")):
        raise ConfigError(
            f"{_KEY} {name}: timm has no such weights; it has {first_of(known) or 'none'}"
        )


def is_channels_last(model: nn.Module) -> bool:
    """Return whether a feature model's maps have shape (N, H, W, C)."""
    return str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")


def _size_options(name: str) -> Sequence[Mapping[str, Any]]:
    """Return arguments for building a model that may make it accept images of any size."""
    pretrained = timm.get_pretrained_cfg(name)
    if pretrained is None or not pretrained.fixed_input_size:
        return ({},)
    return ({"strict_img_size": False}, {"dynamic_img_size": True}, {})


def _levels(name: str, model: Any, maps: Sequence[Tensor]) -> Mapping[str, int]:
    """Return timm's index of each level; among several maps of one stride, the last one."""
    levels = {}
    for index, (stride, found) in enumerate(zip(model.feature_info.reduction(), maps, strict=True)):
        size = found.shape[1:3] if is_channels_last(model) else found.shape[2:]
        if tuple(size) != tuple(length // stride for length in _PROBE):
            raise ConfigError(
                f"{_KEY} {name}: not a backbone for a feature pyramid (its map of stride {stride} "
                f"has {tuple(size)} cells on {_PROBE} pixels); choose another model"
            )
        levels[f"c{stride.bit_length() - 1}"] = index
    return levels
