"""The benchmark of small objects; see `small_objects.py`."""
