"""Read and write weights: no pickles that could run code, no partial files."""

import zipfile
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from torch import Tensor, nn

from sparsedet.atomic_io import atomic_path
from sparsedet.errors import RunError, StoppedRunError
from sparsedet.modeling.cpu import speed_up
from sparsedet.runtime.resources import limit_threads
from sparsedet.wording import counted, first_of

NAMED_IN_ERRORS = 3
"""Maximum number of parameters named in an error; their names are long."""
_CLASS_SCORES = "roi_heads.box_predictor.cls_score.weight"
_WEIGHTS_KEYS = ("model", "state_dict")
"""Keys of a checkpoint under which detectron2, sparsedet and others store the weights."""
CLASSES = "classes"
"""Key of a finished model under which its class names are stored, in the order of its outputs."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, atomically.

    Raises:
        StoppedRunError: when the disk is full, or refuses to write; existing content stays.
    """
    # Given a path, torch would store its (temporary) name in the file: equal states must give
    # equal files.
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        # When a write fails, torch raises a RuntimeError of its own.
        cause = error if isinstance(error, OSError) else error.__context__ or error
        raise StoppedRunError(
            f"{path}: can't be written ({_first_sentence(cause)}); existing content is unchanged; "
            "free disk space"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a file of `save` or detectron2, or `.safetensors`; tensors are loaded to the CPU.

    Raises:
        RunError: when the file is missing, broken, or holds more than tensors and plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
        if damaged := _damaged_part(path):
            raise ValueError(f"{damaged} is damaged")
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint") from None
    except Exception as error:
        # torch reports a broken file as any of RuntimeError, EOFError, UnpicklingError, ...
        # Of a file of another kind, it only names the byte that it stopped at (KeyError).
        reason = "" if isinstance(error, KeyError) else f" ({_first_sentence(error)})"
        raise RunError(
            f"{path}: not a readable checkpoint{reason}; is it a PyTorch or safetensors file, and "
            "complete?"
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path}: not a checkpoint")
    return state


def _damaged_part(path: Path) -> str | None:
    """Return the name of a part of a file that differs from its checksum, which torch ignores.

    Most damaged weights find nothing, or anything.
    """
    if not zipfile.is_zipfile(path):
        return None  # of the format before PyTorch 1.6, without checksums
    with zipfile.ZipFile(path) as parts:
        return parts.testzip()


def weights_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights in a checkpoint, which may hold other content, or be just weights."""
    weights = next(
        (state[key] for key in _WEIGHTS_KEYS if isinstance(state.get(key), Mapping)), state
    )
    return {name: value for name, value in weights.items() if isinstance(value, Tensor)}


def class_names(state: Mapping[str, Any]) -> list[str] | None:
    """Return the class names in a checkpoint; None: it has none, like those of 0.2."""
    names = state.get(CLASSES)
    return names if isinstance(names, list) and all(type(name) is str for name in names) else None


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes of a detector's weights; None: not a detector."""
    # The last row is the background's.
    return len(weights[_CLASS_SCORES]) - 1 if _CLASS_SCORES in weights else None


def load_weights(model: nn.Module, path: Path, names: Sequence[str] | None = None) -> None:
    """Load a model's weights, all of which have to fit.

    Args:
        model: gets the weights.
        path: their file.
        names: the classes of the model's outputs according to the run; None: not known.

    Raises:
        RunError: when the file is not a checkpoint, naming the first parameters that differ, or
            when the model was trained on other classes, or on these in another order.
    """
    state = load(path)
    weights = weights_of(state)
    expected = model.state_dict()
    theirs, ours = class_count(weights), class_count(expected)
    if theirs is not None and ours is not None and theirs != ours:
        trained = counted(theirs, "class", "classes")
        raise RunError(
            f"{path}: a model with {trained}, but the configuration and its data have {ours}"
        )
    trained_on = class_names(state)
    if names is not None and trained_on is not None and trained_on != [*names]:
        pairs = enumerate(zip_longest(trained_on, names, fillvalue="none"), start=1)
        number, (own, other) = next(one for one in pairs if one[1][0] != one[1][1])
        raise RunError(
            f"{path}: its class {number} is {own}, but {other} in the run's list of classes; "
            "restore run.json, or train again"
        )
    differing = {
        "not in the file": [name for name in expected if name not in weights],
        "not in the model": [name for name in weights if name not in expected],
        "of different shape": [
            f"{name} {tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the model"
            for name, value in expected.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    count = sum(map(len, differing.values()))
    if count:
        kinds = [
            f"{kind}: {first_of(names, NAMED_IN_ERRORS)}"
            for kind, names in differing.items()
            if names
        ]
        raise RunError(
            f"{path}: {counted(count, 'parameter differs', 'parameters differ')} from the "
            f"configuration's model; {'; '.join(kinds)}"
        )
    model.load_state_dict(weights)


def build(cfg: CfgNode) -> nn.Module:
    """Build the configured model with random weights on cfg.MODEL.DEVICE.

    Raises:
        RunError: when the GPU has no room for it.
    """
    limit_threads()
    try:
        model: nn.Module = build_model(cfg)
    except torch.cuda.OutOfMemoryError as error:
        raise too_little_memory("for the model") from error
    if not cfg.MODEL.COMPILE:
        # A compiler makes kernels of its own, of the layers as they are.
        speed_up(model)
    if cfg.MODEL.CHANNELS_LAST:
        # A convolution's output inherits the memory layout of its weights.
        model = model.to(memory_format=torch.channels_last)
    return model


def build_for_inference(
    cfg: CfgNode, weights: Path, device: str, names: Sequence[str] | None = None
) -> nn.Module:
    """Return the configured model with its weights, in inference mode; see `load_weights`."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = device
    model = build(cfg)
    load_weights(model, weights, names)
    return model.eval()


def too_little_memory(what: str) -> RunError:
    """Return the error of a GPU whose memory does not suffice, `for` or `to` do something."""
    return RunError(
        f"not enough GPU memory {what}; close other programs that use the GPU, or pass --device cpu"
    )


def _first_sentence(error: BaseException) -> str:
    # What follows in torch's errors is advice to its developers, such as to load a file unsafely.
    return (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
