"""The metrics of a run, and their truncation after an interruption."""

import time
from pathlib import Path

import pytest

# import-untyped: TensorBoard comes without types.
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from sparsedet.training.engine.metrics import MetricsLog, Throughput, read_metrics


def test_what_was_written_beyond_the_checkpoint_is_gone(tmp_path: Path) -> None:
    path, board = tmp_path / "metrics.json", tmp_path / "tensorboard"
    for start, iterations in ((0, (20, 40, 60)), (40, (60, 80))):
        log = MetricsLog(path, board, "plain", start)
        for iteration in iterations:
            log.write(iteration, {"loss": start + iteration / 1000, "validation": "AP"})
        log.close()
        time.sleep(1)  # the files are read in the order of the seconds in their names
    expected = {20: 0.02, 40: 0.04, 60: 40.06, 80: 40.08}
    assert {line["iteration"]: line["loss"] for line in read_metrics(path)} == expected
    events = EventAccumulator(str(board / "plain"))
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("loss")}
    assert shown == pytest.approx(expected)


def test_half_a_line_of_a_killed_process_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    odd = '{"stage": "plain", "iteration": "x"}\n{"stage": "plain"}\n'
    path.write_text('{"stage": "plain", "iteration": 20}\n' + odd + '{"stage": "pl')
    MetricsLog(path, tmp_path / "tensorboard", "plain", 30).close()
    assert read_metrics(path) == [{"stage": "plain", "iteration": 20}]


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
