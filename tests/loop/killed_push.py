"""A process that is killed while it pushes."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from sparsedet.loop.pushing import Pusher


class _Killed(BaseException):
    """As if the process ended."""


@contextmanager
def killed_push(after: int = 0) -> Iterator[None]:
    """Expect the process to be killed during the pushes within the context.

    Args:
        after: killed right after this many pushes; 0: before the first.
    """
    real, done = Pusher.push, []

    def push(*args: object, **options: object) -> object:
        if after:
            done.append(real(*args, **options))  # type: ignore[arg-type]
        if len(done) == after:
            raise _Killed
        return done[-1]

    with patch.object(Pusher, "push", push), pytest.raises(_Killed):
        yield
