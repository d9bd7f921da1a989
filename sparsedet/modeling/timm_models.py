"""timm's models by name: which feature levels each one offers, and building it for some of them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparsedet.errors import ConfigError

_KEY = "MODEL.TIMM.NAME"
_PROBE = (64, 96)
"""Height and width of an image that a detector's backbone must be able to take."""
_MAX_DETAIL = 200
_NAMED_IN_ERRORS = 4


@dataclass(frozen=True, slots=True)
class TimmFeatures:
    """The feature maps that timm offers of a model."""

    levels: Mapping[str, int]
    """timm's index of each level c1, c2, ... (level = log2 of the stride), ascending."""
    options: Mapping[str, Any]
    """What the model has to be built with to take images of any size."""


def create_timm(name: str, batch_norm_eps: float, **options: Any) -> nn.Module:
    """Return a timm model, weights random; a `batch_norm_eps` of 0 keeps the model's own."""
    model: nn.Module = timm.create_model(name, **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and batch_norm_eps > 0:
            module.eps = batch_norm_eps
    return model


def create_features(
    name: str, levels: Sequence[str], batch_norm_eps: float, channels: int = 3
) -> nn.Module:
    """Return a timm model that gives the feature maps of `levels`, weights random."""
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
        # Residual branches that begin switched off would stay so for good behind a frozen norm.
        if isinstance(module, _BatchNorm) and module.affine and not module.weight.any():
            nn.init.ones_(module.weight)
    return model


@cache
def timm_features(name: str) -> TimmFeatures:
    """Return what timm offers of the model `name`, found out on a blank image.

    Raises:
        ConfigError: for a name that timm does not know, or a model that no detector can use.
    """
    check_name(name)
    # Whether the model is built here for the first time, or was before, changes no later draw.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        problems = []
        for options in _size_options(name):
            try:
                model = timm.create_model(name, features_only=True, **options).eval()
                maps = model(torch.zeros(1, 3, *_PROBE))
            except Exception as error:
                # Models raise anything for what they can't do.
                problems.append(" ".join(str(error).split())[:_MAX_DETAIL])
                continue
            return TimmFeatures(_levels(name, model, maps), options)
    raise ConfigError(
        f"{_KEY} {name}: not a backbone for images of any size ({problems[-1]}); "
        "choose another model"
    )


def check_name(name: str) -> None:
    """Check that timm knows a model, and its weights where the name has a tag behind a point.

    Raises:
        ConfigError: with names that are like it.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        similar = difflib.get_close_matches(
            architecture.lower(), timm.list_models(), n=_NAMED_IN_ERRORS
        )
        hint = f"did you mean {' or '.join(similar)}?" if similar else "see timm.list_models()"
        raise ConfigError(f"{_KEY} {name}: timm has no such model; {hint}")
    if tag and name not in (known := timm.list_pretrained(f"{architecture}.*")):
        raise ConfigError(
            f"{_KEY} {name}: timm has no such weights; it has "
            f"{', '.join(known[:_NAMED_IN_ERRORS]) or 'none'}"
        )


def is_channels_last(model: nn.Module) -> bool:
    """Tell whether a feature model gives its maps as (N, H, W, C)."""
    return str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")


def _size_options(name: str) -> Sequence[Mapping[str, Any]]:
    """Return the ways to build a model that may let it take images of any size."""
    pretrained = timm.get_pretrained_cfg(name)
    if pretrained is None or not pretrained.fixed_input_size:
        return ({},)
    return ({"strict_img_size": False}, {"dynamic_img_size": True}, {})


def _levels(name: str, model: Any, maps: Sequence[Tensor]) -> Mapping[str, int]:
    """Return timm's index of each level; of several maps of one stride, the last one."""
    levels = {}
    for index, (stride, found) in enumerate(zip(model.feature_info.reduction(), maps, strict=True)):
        size = found.shape[1:3] if is_channels_last(model) else found.shape[2:]
        if tuple(size) != tuple(length // stride for length in _PROBE):
            raise ConfigError(
                f"{_KEY} {name}: not a backbone for a feature pyramid (its map of stride {stride} "
                f"has {tuple(size)} places on {_PROBE} pixels); choose another model"
            )
        levels[f"c{stride.bit_length() - 1}"] = index
    return levels
