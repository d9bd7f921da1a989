"""Training a cell: its data, resuming, and a clock that counts every iteration once."""

import json
import signal
from pathlib import Path

import pytest

from benchmarks.accuracy import training
from benchmarks.accuracy.data import FullData, inner
from benchmarks.accuracy.plan import Cell
from benchmarks.accuracy.record import Record
from benchmarks.accuracy.training import Clock, train_cell
from sparsedet.training.engine.callbacks import StageProgress
from tests.benchmarks.accuracy.records import cell


def test_cells_of_one_seed_train_on_the_same_boxes(digits: FullData) -> None:
    plain = digits.sparse(cell("plain"))
    assert digits.sparse(cell("staged")) == plain
    assert digits.sparse(cell(seed=2)) != plain
    assert len(digits.sparse(cell(drop=0.7))[0].boxes) < len(plain[0].boxes)


def test_settings_are_chosen_on_training_images_alone(digits: FullData) -> None:
    chosen = inner(digits)
    train, test = (
        {image.file_name for image in part.images} for part in (chosen.train, chosen.test)
    )
    assert train | test == {image.file_name for image in digits.train.images}
    assert not train & test
    assert len(test) == len(digits.train.images) // 4
    assert len(chosen.train.boxes) + len(chosen.test.boxes) == len(digits.train.boxes)
    assert (chosen.name, chosen.test_images) == ("digits-inner", digits.train_images)
    sparse, removed = chosen.sparse(cell())
    assert {
        box.image_id for box in (*sparse.boxes, *removed.boxes)
    } <= chosen.train.image_by_id.keys()


def test_an_interrupted_training_resumes_at_its_commit_alone(
    digits: FullData, tmp_path: Path
) -> None:
    mines_early = ("SPARSEDET.STAGED.MIN_ITER", "0")
    of = cell("staged", iterations=6, variant="mines early", overrides=mines_early)
    done: list[int] = []

    def train(commit: str, of: Cell = of, *, interrupt_at: int | None = None) -> Record:
        def listen(progress: StageProgress) -> None:
            done.append(progress.iteration)
            if progress.iteration == interrupt_at:
                signal.raise_signal(signal.SIGINT)

        done.clear()
        return train_cell(of, digits, commit, tmp_path / "cell", listen)

    with pytest.raises(KeyboardInterrupt):
        train("c0ffee1", interrupt_at=4)
    assert done == [1, 2, 3, 4]
    before = json.loads((tmp_path / "cell" / "seconds.json").read_text())[-1][1]
    finished = train("c0ffee1")
    # Six iterations in all: totals would not be equal if a stage were repeated.
    assert done == [5, 6]
    assert finished.commit == "c0ffee1"
    assert finished.seconds > before > 0
    assert (finished.training_boxes, finished.removed_boxes) == (
        len(digits.sparse(of)[0].boxes),
        len(digits.sparse(of)[1].boxes),
    )
    assert finished.mined.keys() >= {"labels", "doubtful"}

    def check_that_it_starts_again(commit: str, of: Cell = of) -> None:
        with pytest.raises(KeyboardInterrupt):
            train(commit, of, interrupt_at=1)
        assert done == [1]

    check_that_it_starts_again("beef001")
    config = tmp_path / "cell" / "run" / "config.yaml"
    config.write_text(config.read_text().replace("MIN_ITER: 0", "MIN_ITER: 1"))
    check_that_it_starts_again("beef001")
    check_that_it_starts_again("beef001", of.model_copy(update={"seed": 2}))
    # Changes that are not committed can't be distinguished from others.
    for _ in range(2):
        check_that_it_starts_again("beef001+changes")


class _Time:
    """A time that a test moves on; the processor works for half of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(training, "_now", lambda: (self.seconds, self.seconds / 2))

    def train(self, clock: Clock, first: int, last: int) -> None:
        """Train iterations of a second each."""
        for iteration in range(first, last + 1):
            self.seconds += 1
            clock.tick(iteration)


def test_iterations_that_are_trained_again_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    # Killed at 50, of which the clock knows 40; the training resumes at its checkpoint at 25.
    time.train(Clock(path), 1, 50)
    time.seconds += 1000
    with Clock(path) as clock:
        time.train(clock, 26, 30)
    # Up to the mark at 20, and the five that were trained now.
    assert (clock.seconds, clock.cpu_seconds) == (25, 12.5)
    # Interrupted at 30, where both know all.
    time.seconds += 1000
    with Clock(path) as clock:
        time.train(clock, 31, 100)
        time.seconds += 7
    assert clock.seconds == 25 + 70 + 7


def test_time_that_is_saved_between_iterations_stays_with_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    clock = Clock(path)
    time.train(clock, 1, 30)
    time.seconds += 9
    clock.save()
    # Killed at 45; the mining behind 30, and what was trained from there to 40, is not the same.
    time.train(clock, 31, 45)
    with Clock(path) as clock:
        time.train(clock, 31, 50)
    assert clock.seconds == 50 + 9


def test_a_finished_training_takes_no_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    with Clock(path) as clock:
        time.train(clock, 1, 3)
    with Clock(path) as clock:
        pass
    assert clock.seconds == 3
