"""The doctor's look at the free memory."""

import sys

import pytest

from sparsedet.doctor import checks
from sparsedet.runtime import memory


def test_the_memory_of_a_container_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 3 * 2**29)
    assert checks._available_memory() == 1.5
    # Without psutil the module can't be imported.
    monkeypatch.setitem(sys.modules, "sparsedet.runtime.memory", None)
    assert checks._available_memory() is None
