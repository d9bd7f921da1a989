"""The parts of `benchmarks/label_studio.py`."""
