"""Reading and writing weights: never a pickle that could run code, never half a file."""

from collections.abc import Iterable, Mapping
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

_NAMED_IN_ERRORS = 3
"""How many of the differing parameter names an error lists of each kind."""
_CLASS_SCORES = "roi_heads.box_predictor.cls_score.weight"
_WEIGHTS_KEYS = ("model", "state_dict")
"""Under which of them detectron2, sparsedet and others keep the weights in a checkpoint."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, atomically.

    Raises:
        StoppedRunError: when the disk is full, or refuses to write; what was there before stays.
    """
    # Given a path, torch would write its (temporary) name into the file: equal states must give
    # equal files.
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        # Of a write that failed torch makes a RuntimeError of its own.
        cause = error if isinstance(error, OSError) else error.__context__ or error
        raise StoppedRunError(
            f"{path}: can't be written ({_first_line(cause)}); what was there is left as it was; "
            "make room"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read what `save`, or detectron2, wrote, or `.safetensors`; tensors end up on the CPU.

    Raises:
        RunError: when the file is missing, broken, or holds more than tensors and plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint") from None
    except Exception as error:
        # torch reports a broken file as any of RuntimeError, EOFError, UnpicklingError, ...
        raise RunError(f"{path}: not a readable checkpoint ({_first_line(error)})") from error
    if not isinstance(state, dict):
        raise RunError(f"{path}: not a checkpoint")
    return state


def weights_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights in a checkpoint, which may hold more, or be nothing else."""
    weights = next(
        (state[key] for key in _WEIGHTS_KEYS if isinstance(state.get(key), Mapping)), state
    )
    return {name: value for name, value in weights.items() if isinstance(value, Tensor)}


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Return how many classes a detector's weights tell apart; None: they are of no detector."""
    # The last row is the background's.
    return len(weights[_CLASS_SCORES]) - 1 if _CLASS_SCORES in weights else None


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a model's weights, every one of which has to fit.

    Raises:
        RunError: when the file is no checkpoint, or naming the first parameters that differ.
    """
    weights = weights_of(load(path))
    expected = model.state_dict()
    theirs, ours = class_count(weights), class_count(expected)
    if theirs is not None and ours is not None and theirs != ours:
        raise RunError(
            f"{path}: a model of {theirs} classes, while the configuration and its data have {ours}"
        )
    differing = {
        "not in the file": [name for name in expected if name not in weights],
        "not in the model": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the model"
            for name, value in expected.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    count = sum(map(len, differing.values()))
    if count:
        kinds = [f"{kind}: {first_names(names)}" for kind, names in differing.items() if names]
        raise RunError(
            f"{path}: {count} parameters differ from the configuration's model; {'; '.join(kinds)}"
        )
    model.load_state_dict(weights)


def first_names(names: Iterable[str]) -> str:
    """Return the first of the names for a message, with dots where there are more."""
    listed = list(names)
    more = ", ..." if len(listed) > _NAMED_IN_ERRORS else ""
    return ", ".join(listed[:_NAMED_IN_ERRORS]) + more


def build(cfg: CfgNode) -> nn.Module:
    """Build the configured model with random weights on cfg.MODEL.DEVICE."""
    limit_threads()
    model: nn.Module = build_model(cfg)
    if not cfg.MODEL.COMPILE:
        # A compiler makes kernels of its own, of the layers as they are.
        speed_up(model)
    if cfg.MODEL.CHANNELS_LAST:
        # Convolutions give their output the layout of their weights.
        model = model.to(memory_format=torch.channels_last)
    return model


def build_for_inference(cfg: CfgNode, weights: Path, device: str) -> nn.Module:
    """Return the configured model with its weights, ready to detect."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = device
    model = build(cfg)
    load_weights(model, weights)
    return model.eval()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
