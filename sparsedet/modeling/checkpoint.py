"""Reading and writing weights: never a pickle that could run code, never half a file."""

from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from torch import nn

from sparsedet.errors import RunError
from sparsedet.files import atomic_path
from sparsedet.resources import limit_threads

_NAMED_IN_ERRORS = 3
"""How many of the differing parameter names an error lists."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, atomically."""
    # Given a path, torch would write its (temporary) name into the file: equal states shall give
    # equal files.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def load(path: Path) -> dict[str, Any]:
    """Read what `save`, or detectron2, wrote; tensors end up on the CPU.

    Raises:
        RunError: when the file is missing, broken, or holds more than tensors and plain values.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint") from None
    except Exception as error:
        # torch reports a broken file as any of RuntimeError, EOFError, UnpicklingError, ...
        raise RunError(f"{path}: not a readable checkpoint ({_first_line(error)})") from error
    if not isinstance(state, dict):
        raise RunError(f"{path}: not a checkpoint")
    return state


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a model's weights, every one of which has to fit."""
    state = load(path)
    weights = state.get("model", state)
    expected = model.state_dict()
    differing = sorted(expected.keys() ^ weights.keys()) or [
        f"{name}: {tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the model"
        for name, value in expected.items()
        if weights[name].shape != value.shape
    ]
    if differing:
        raise RunError(
            f"{path}: {len(differing)} parameters differ from the configuration's model: "
            + ", ".join(differing[:_NAMED_IN_ERRORS])
        )
    model.load_state_dict(weights)


def build(cfg: CfgNode) -> nn.Module:
    """Build the configured model with random weights on cfg.MODEL.DEVICE."""
    limit_threads()
    model: nn.Module = build_model(cfg)
    if cfg.MODEL.CHANNELS_LAST:
        # Convolutions hand the layout of their weights on to their output.
        model = model.to(memory_format=torch.channels_last)
    return model


def build_for_inference(cfg: CfgNode, weights: Path, device: str) -> nn.Module:
    """Return the configured model with its weights, ready to detect."""
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = device
    model = build(cfg)
    load_weights(model, weights)
    return model.eval()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
