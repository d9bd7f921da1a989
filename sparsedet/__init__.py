"""Train detectors on sparse annotations, and find the boxes that annotators missed.

    import sparsedet

    model = sparsedet.load("run")
    for found in model.predict("photo.jpg"):
        print(found.label, found.score, found.xyxy)

The functions are in `sparsedet.api`, imported on first use.
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

# Waiting torch threads must sleep, not spin: next to any other busy process (an annotation server,
# a second training), spinning slowed a training step on two cores down 9-fold; sleeping costs
# nothing on an idle machine. OpenMP reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Import the names of `__all__` on first use: `sparsedet --help` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'sparsedet' has no attribute {name!r}")
    from sparsedet import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
