"""The file of mined boxes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox, read_mined, write_mined
from sparsedet.errors import AnnotationError

DATASET = Dataset((Image(1, "a.jpg", 100, 100),), (), (Category(1, "cat"),))
PLAIN = MinedBox("m1", 1, 1, (10.0, 20.0, 30.0, 50.0), 0.9, 0.5)
ESTIMATED = MinedBox("m2", 1, 1, (1.0, 2.0, 3.0, 4.0), 0.75, 0.5, expected_precision=0.8125)


def test_boxes_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "mined.json"
    write_mined([PLAIN, ESTIMATED], {}, path)
    assert read_mined(path, DATASET) == (PLAIN, ESTIMATED)


def test_an_estimate_is_written_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mined.json"
    write_mined([PLAIN, replace(ESTIMATED, expected_precision=0.123456)], {}, path)
    plain, estimated = json.loads(path.read_text())
    assert "expected_precision" not in plain
    assert estimated["expected_precision"] == 0.1235


@pytest.mark.parametrize("precision", ["likely", [0.5]])
def test_an_estimate_that_is_no_number_is_refused(precision: object, tmp_path: Path) -> None:
    path = tmp_path / "mined.json"
    write_mined([PLAIN, ESTIMATED], {}, path)
    entries = json.loads(path.read_text())
    entries[1]["expected_precision"] = precision
    path.write_text(json.dumps(entries))
    with pytest.raises(AnnotationError, match=r"mined.json: entry 1: invalid mined box"):
        read_mined(path, DATASET)


def test_an_entry_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mined.json"
    path.write_text("[[1, 2, 3, 4]]")
    with pytest.raises(AnnotationError, match=r"mined.json: entry 0: invalid mined box"):
        read_mined(path, DATASET)
