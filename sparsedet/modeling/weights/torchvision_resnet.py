"""torchvision's ResNets: their ImageNet weights by name, under detectron2's names."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import torchvision
from torch import Tensor

from sparsedet.errors import ConfigError

PREFIX = "torchvision:"
_NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_VERSION = "IMAGENET1K_V1"
"""What torchvision's own detectors start from; the later weights suit classification better."""
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")
# In this order: `layer1.0.bn1` is `res2.0.conv1.norm`, `layer1.0.downsample.1` its shortcut's norm.
_RENAMES = (
    (re.compile(r"^(conv1|bn1)\."), r"stem.\1."),
    (re.compile(r"^layer(\d)\."), lambda found: f"res{int(found[1]) + 1}."),
    (re.compile(r"\bdownsample\.0\."), "shortcut."),
    (re.compile(r"\bdownsample\.1\."), "shortcut.norm."),
    (re.compile(r"\bbn(\d)\."), r"conv\1.norm."),
)


def weights_url(source: str) -> str:
    """Return the URL of `torchvision:NAME`, with the part of its hash that the file name has.

    Raises:
        ConfigError: when it is none of torchvision's ResNets.
    """
    name = source.removeprefix(PREFIX)
    if name not in _NAMES:
        raise ConfigError(f"MODEL.WEIGHTS {source}: expected one of {', '.join(_NAMES)}")
    return with_hash_in_name(torchvision.models.get_model_weights(name)[_VERSION].url)


def with_hash_in_name(url: str) -> str:
    """Return a URL with `#sha256=` of the digits that torch's file names carry, where it has any.

    A file `resnet50-0676ba61.pth` has a sha256 that begins with these digits.
    """
    found = _HASH_IN_NAME.search(PurePosixPath(urlsplit(url).path).name)
    return f"{url}#sha256={found[1]}" if found else url


def is_torchvision(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether weights have the names of torchvision's (and timm's) ResNets."""
    return "layer1.0.conv1.weight" in weights and "conv1.weight" in weights


def to_detectron2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a ResNet's weights under the names of detectron2's FPN detectors.

    The classifier, and the counters of batch norms, are left out.
    """
    renamed = {}
    for name, value in weights.items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        for pattern, replacement in _RENAMES:
            name = pattern.sub(replacement, name)
        renamed[f"backbone.bottom_up.{name}"] = value
    return renamed
