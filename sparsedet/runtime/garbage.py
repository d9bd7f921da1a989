"""Python's search for garbage, made rarer where it finds none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 100_000


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for cyclic garbage after 100,000 new objects, not 700, in a block or decorated function.

    A project of 20,000 images is millions of objects, which stay until the end. To look through all
    of them again whenever there are a quarter more takes half of the processor time of a push, and
    what it leaves behind has no cycles.
    """
    first, *others = gc.get_threshold()
    if first:  # 0: switched off
        gc.set_threshold(max(first, _OBJECTS), *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)
