"""Which seeds there are."""

MAX_SEED = 2**32 - 1
"""The largest. Trainings multiply their seed, and torch takes 64 bits."""
