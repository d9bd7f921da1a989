"""Weights for detectron2's ResNets: torchvision's by name, and pickles of detectron2's zoo."""

import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor

from sparsedet.errors import ConfigError
from sparsedet.modeling.weights.download import with_hash_in_name

TORCHVISION = "torchvision:"
_NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_VERSION = "IMAGENET1K_V1"
"""Initial weights of torchvision's own detectors; the later ones are tuned for classification."""
# In this order: `layer1.0.bn1` is `res2.0.conv1.norm`, `layer1.0.downsample.1` its shortcut's norm.
_RENAMES = (
    (re.compile(r"^(conv1|bn1)\."), r"stem.\1."),
    (re.compile(r"^layer(\d)\."), lambda found: f"res{int(found[1]) + 1}."),
    (re.compile(r"\bdownsample\.0\."), "shortcut."),
    (re.compile(r"\bdownsample\.1\."), "shortcut.norm."),
    (re.compile(r"\bbn(\d)\."), r"conv\1.norm."),
)
_MAKES_ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}


def weights_url(source: str) -> str:
    """Return the URL of `torchvision:NAME`, with the partial hash in the file name.

    Raises:
        ConfigError: when it is not one of torchvision's ResNets.
    """
    name = source.removeprefix(TORCHVISION)
    if name not in _NAMES:
        raise ConfigError(f"MODEL.WEIGHTS {source}: expected one of {', '.join(_NAMES)}")
    return with_hash_in_name(torchvision.models.get_model_weights(name)[_VERSION].url)


def is_torchvision(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights have the parameter names of torchvision's (and timm's) ResNets."""
    return "layer1.0.conv1.weight" in weights and "conv1.weight" in weights


def to_detectron2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ResNet's weights to the names of detectron2's FPN detectors.

    Leaves out the classifier and the batch counters of norms.
    """
    renamed = {}
    for name, value in weights.items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        for pattern, replacement in _RENAMES:
            name = pattern.sub(replacement, name)
        renamed[f"backbone.bottom_up.{name}"] = value
    return renamed


def read_pickle(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return a file's arrays as tensors, and whether they have Caffe2's names.

    Raises:
        ConfigError: when it is broken, or holds more than arrays and plain values.
    """
    try:
        content = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        is_caffe2 = "model" not in content
        weights = content.get("blobs", content) if is_caffe2 else content["model"]
        return {
            name: torch.from_numpy(np.asarray(value))
            for name, value in weights.items()
            if not name.endswith("_momentum") and isinstance(value, np.ndarray)
        }, is_caffe2
    except Exception as error:
        # A broken pickle may raise anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"MODEL.WEIGHTS {path}: not a file of weights ({reason})") from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays and plain values, nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow only what arrays consist of."""
        if (module, name) not in _MAKES_ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return super().find_class(module, name)
