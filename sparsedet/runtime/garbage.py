"""Fewer garbage collections where there is no garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 100_000


@contextmanager
def few_collections() -> Iterator[None]:
    """Collect cyclic garbage after 100,000 new objects instead of 700, in a block or function.

    A project of 20,000 images is millions of objects, which live until the end. Scanning all of
    them whenever their number grows by a quarter takes half of the processor time of a push, and
    nothing that is freed has cycles.
    """
    first, *others = gc.get_threshold()
    if first:  # 0: disabled
        gc.set_threshold(max(first, _OBJECTS), *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)
