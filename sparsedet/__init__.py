"""Sparse annotations in, a detector that is not misled by them out, missed boxes back.

    import sparsedet

    model = sparsedet.load("run")
    for found in model.predict("photo.jpg"):
        print(found.label, found.score, found.xyxy)

`sparsedet.api` has the functions; they are imported when they are first used.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsedet.api import RunFolder, SparseDetError, Workspace, load, mine, read, split, train

__version__ = "0.2.0"

__all__ = [
    "RunFolder",
    "SparseDetError",
    "Workspace",
    "__version__",
    "load",
    "mine",
    "read",
    "split",
    "train",
]

# Threads of torch that wait must sleep, not spin: next to any other busy process (an annotation
# server, a second training) spinning made a training step on two cores 9 times as slow; sleeping
# costs nothing where the machine is free. OpenMP reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Import what `__all__` lists at its first use: `sparsedet --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'sparsedet' has no attribute {name!r}")
    from sparsedet import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
