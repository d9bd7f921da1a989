"""Backbone and RPN head as kernels of torch.compile: MODEL.COMPILE.

Most of a training's time is spent in these two, and their tensors have few different shapes. What
follows them handles lists of boxes, whose lengths differ between images, and runs uncompiled.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

logger = logging.getLogger(__name__)

_MAX_DETAIL = 200


def compile_for_training(model: Any) -> None:
    """Compile a detector's backbone and RPN head when they are first called.

    Parameter names don't change. Without a compiler, or if it does not support a part, that part
    logs a warning and runs uncompiled.

    Args:
        model: a Faster R-CNN.
    """
    for part in (model.backbone, model.proposal_generator.rpn_head):
        # DDP and hooks call the module, which calls this.
        part.forward = _Compiled(part.forward, type(part).__name__)


class _Compiled:
    """A module's forward pass, compiled unless that fails."""

    def __init__(self, forward: Callable[..., Any], name: str) -> None:
        self._plain = forward
        self._name = name
        # From the second image size on, torch compiles a kernel for variable sizes.
        self._compiled: Callable[..., Any] | None = torch.compile(forward)

    def __call__(self, *inputs: Any) -> Any:
        """Return what the forward pass returns."""
        if self._compiled is not None:
            try:
                return self._compiled(*inputs)
            except TorchDynamoException as error:
                self._compiled = None
                reason = " ".join(str(error).split())[:_MAX_DETAIL] or type(error).__name__
                logger.warning(
                    "MODEL.COMPILE: torch can't compile the %s here, which runs uncompiled (%s)",
                    self._name,
                    reason,
                )
        return self._plain(*inputs)
