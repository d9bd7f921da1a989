"""The benchmark of a large project: tasks and images, the round's log, and the table."""

from pathlib import Path

import pytest

from benchmarks.label_studio.figures import Measured, rows
from benchmarks.label_studio.raw import WriteSeconds
from benchmarks.label_studio.round_log import DEFAULT_ITERATIONS, ITERATIONS, RoundLog
from benchmarks.label_studio.setting import HEIGHT, WIDTH, Size, source_task, write_images
from benchmarks.label_studio.steps import MINED_PER_IMAGE, Cost, mined_boxes
from sparsedet.annotations import Category, Dataset, Image, file_digest, upright_size
from sparsedet.push_modes import no_progress

SIZE = Size(100, 502)
KILOBYTE = 1000


def test_boxes_are_spread_over_all_tasks() -> None:
    counts = [len(source_task(n, SIZE)["annotations"][0]["result"]) for n in range(SIZE.tasks)]
    assert (sum(counts), set(counts)) == (SIZE.boxes, {5, 6})
    assert source_task(7, SIZE) == source_task(7, SIZE) != source_task(8, SIZE)


def test_no_two_images_are_the_same(tmp_path: Path) -> None:
    files = write_images(tmp_path, 203, no_progress)
    assert {upright_size(file) for file in files} == {(WIDTH, HEIGHT)}
    assert len({file_digest(file) for file in files}) == 203
    before = files[0].stat().st_mtime_ns
    assert write_images(tmp_path, 203, no_progress) == files
    assert files[0].stat().st_mtime_ns == before


def test_the_same_boxes_are_mined_in_every_process() -> None:
    images = (Image(4, "a.jpg", WIDTH, HEIGHT), Image(9, "b.jpg", WIDTH, HEIGHT))
    dataset = Dataset(images, (), (Category(1, "apple"), Category(2, "can")))
    boxes = list(mined_boxes(dataset))
    assert boxes == list(mined_boxes(dataset))
    assert len({box.region_id for box in boxes}) == len(images) * MINED_PER_IMAGE
    assert all(0 <= b.xyxy[0] < b.xyxy[2] <= WIDTH and b.xyxy[3] <= HEIGHT for b in boxes)


def measured() -> Measured:
    return Measured(
        SIZE,
        first_pull=Cost(60.0, 0),
        reads=[10.0, 20.0, 10.0],
        pulls=[Cost(12.0, 20 * KILOBYTE * 100), Cost(40.0, 0), Cost(11.0, 0)],
        changed_pull=Cost(13.0, 0),
        changed=1,
        writes=[WriteSeconds(10.0, 300.0)],
        pushes=[Cost(25.0, 0)],
        second_pushes=[Cost(12.6, 30 * KILOBYTE * 100)],
    )


def test_ratios_are_of_what_was_measured_in_turn() -> None:
    table = {row.what: row for row in rows(measured())}
    assert table["pull / export and listing"].measured == "1.20"
    assert table["first pull / second pull with 1 tasks changed"].met is False
    assert table["push / bulk calls"].met is True
    assert table["rate of a push / one by one"].measured == "12.0"
    assert table["second push / first"].met is False
    assert table["pull: memory for each task"].met is True
    assert table["push: memory for each task"].measured == "30.0 kB"
    assert table["push: memory for each task"].met is False


def test_bookkeeping_is_what_neither_model_nor_server_takes() -> None:
    log = RoundLog(
        1000,
        {"prepare": 1.0, "pull": 8.0, "split": 1.0, "train": 20.0, "mine": 90.0, "push": 5.0},
        {"prepare": 0.5, "pull": 5.5, "push": 4.0},
    )
    assert log.bookkeeping == pytest.approx(5.0)
    training = 20.0 / ITERATIONS * DEFAULT_ITERATIONS
    assert log.share == pytest.approx(5.0 / (5.0 + training + 90.0 + 10.0))
