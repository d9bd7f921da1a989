"""Which classes a model detects, where not all of them are wanted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_DETECTED: ContextVar[list[int] | None] = ContextVar("detected", default=None)
"""Per thread, since one model may serve several."""


@contextmanager
def detecting_only(classes: Sequence[int]) -> Iterator[None]:
    """Detect only `classes` in the block: others take none of an image's limited detections.

    Args:
        classes: indices of the models' outputs.
    """
    token = _DETECTED.set(list(classes))
    try:
        yield
    finally:
        _DETECTED.reset(token)


def of_detected(probabilities: Tensor) -> Tensor:
    """Return class probabilities, shape (R, classes + 1), with 0 for classes not to detect."""
    classes = _DETECTED.get()
    if classes is None:
        return probabilities
    kept = torch.zeros_like(probabilities)
    kept[:, classes] = probabilities[:, classes]
    return kept
