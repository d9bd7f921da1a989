"""A command overwrites an older file of its kind, and nothing else."""

import os
from pathlib import Path

import pytest

from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.cli.output import (
    COMPARISON,
    CSV,
    MINED,
    REPORT,
    RESULTS,
    REVIEWED,
    check_replaceable,
    command,
    wrapped,
)
from sparsedet.errors import SparseDetError
from sparsedet.ledger.export import write_csv

ANNOTATIONS = '{"images": [], "annotations": [], "categories": []}'
KINDS = [COMPARISON, REPORT, MINED, REVIEWED, CSV]


@pytest.mark.parametrize("kind", KINDS, ids=[name for _, name in KINDS])
def test_other_files_and_folders_are_left_alone(tmp_path: Path, kind: tuple[bytes, str]) -> None:
    path = tmp_path / "new"
    check_replaceable(path, kind)
    path.write_text(ANNOTATIONS)
    with pytest.raises(SparseDetError, match=f"is not a {kind[1]}; not overwritten.* --to$"):
        check_replaceable(path, kind, "--to")
    with pytest.raises(SparseDetError, match="is a folder"):
        check_replaceable(tmp_path, kind)
    path.write_bytes(b"..." + kind[0])
    check_replaceable(path, kind)


@pytest.mark.parametrize("count", [0, 2])
def test_mined_boxes_may_be_written_again(tmp_path: Path, count: int) -> None:
    box = MinedBox("sd1", 1_000_000_007, 3, (1234.5678, 2345.6789, 3456.789, 4567.891), 0.5, 0.25)
    write_mined([box] * count, {}, tmp_path / "mined.json")
    check_replaceable(tmp_path / "mined.json", MINED)


def test_a_table_may_be_written_again(tmp_path: Path) -> None:
    write_csv([], tmp_path / "boxes.csv")
    check_replaceable(tmp_path / "boxes.csv", CSV)


@pytest.mark.timeout(20)
def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """As in `-o /dev/stdout | head`, which would wait forever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SparseDetError, match="is not a regular file; pass a file with -o"):
        check_replaceable(tmp_path / "pipe", RESULTS)


def test_a_command_can_be_copied_into_a_shell() -> None:
    shown = wrapped(command("round", Path("my cells"), "--next"), columns=10)
    assert shown == "sparsedet round 'my cells' --next"
    assert wrapped(command("round", Path()), columns=None) == "sparsedet round"
