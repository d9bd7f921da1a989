"""The parts of `benchmarks/suspicions.py`."""
