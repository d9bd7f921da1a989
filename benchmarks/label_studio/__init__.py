"""Parts of `benchmarks/label_studio.py`."""
