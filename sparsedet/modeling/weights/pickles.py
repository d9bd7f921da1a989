"""detectron2's and Caffe2's files of weights: pickles, of which only arrays are taken."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparsedet.errors import ConfigError

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


def read_pickle(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return a file's arrays as tensors, and whether their names are Caffe2's.

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
