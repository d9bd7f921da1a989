"""The parts of `benchmarks/crowds.py`."""
