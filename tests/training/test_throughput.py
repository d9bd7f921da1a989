"""Images per second: the latest iterations, pauses left out."""

import time

import pytest

from sparsedet.training.throughput import Throughput


def test_the_latest_iterations_count_and_pauses_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    throughput = Throughput(iterations=2)
    assert throughput.images_per_second == 0
    clock += 4
    throughput.add(8)
    assert throughput.images_per_second == 8 / 4
    clock += 1
    throughput.add(8)
    assert throughput.images_per_second == 16 / 5
    clock += 1800
    throughput.skip_pause()
    clock += 2
    throughput.add(5)
    # The first one is forgotten.
    assert throughput.images_per_second == 13 / 3
