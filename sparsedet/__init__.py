"""Sparse annotations in, a detector that is not misled by them out, missed boxes back."""

import os

__version__ = "0.1.0"

# Threads of torch that wait must sleep, not spin: next to any other busy process (an annotation
# server, a second training) spinning made a training step on two cores 9 times as slow; sleeping
# costs nothing where the machine is free. OpenMP reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
