"""Backbone and RPN head as kernels of torch.compile: MODEL.COMPILE.

They are what a training calculates most in, and tensors of few shapes go in and out. What follows
them, lists of boxes of a different length for every image, stays as it is.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException

logger = logging.getLogger(__name__)

_MAX_DETAIL = 200


def compile_for_training(model: Any) -> None:
    """Let the parts of a detector that can be compiled be so, when they are first called.

    Names of parameters stay as they are. Where there is no compiler, or a part is none of what it
    knows, a warning says so and the part runs uncompiled.

    Args:
        model: a Faster R-CNN.
    """
    for part in (model.backbone, model.proposal_generator.rpn_head):
        # DDP and hooks call the module; what they reach is this.
        part.forward = _Compiled(part.forward, type(part).__name__)


class _Compiled:
    """A module's forward pass, compiled unless that fails."""

    def __init__(self, forward: Callable[..., Any], name: str) -> None:
        self._plain = forward
        self._name = name
        # Sizes that change, as of jittered images, become variables of the kernel after the first
        # two of them.
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
