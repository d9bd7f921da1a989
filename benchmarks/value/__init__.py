"""The parts of `benchmarks/value.py`."""
