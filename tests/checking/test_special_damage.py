"""Damage that only some checks see, many findings at once, and files that are left alone."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import cv2
import numpy as np
import PIL.ImageFile
import pytest

from sparsedet.annotations import read_upright
from sparsedet.ledger import Ledger
from tests.checking.damaged import Damaged, cut, flip, image
from tests.cli.command import sparsedet_here


def test_pixels_that_were_changed_are_seen_where_images_are_read(damaged: Damaged) -> None:
    flip(image(damaged), 0.6)
    assert damaged.findings() == {}
    assert set(damaged.findings("--read-data")) == {"image-broken"}
    damaged.check("--read-data", "--fix")
    assert damaged.lost_and_found() == {"images/07.png"}
    assert set(damaged.findings()) == {"image-missing"}


def test_images_that_only_opencv_decodes_are_fine(damaged: Damaged) -> None:
    path = image(damaged)
    colours = np.random.default_rng(1).random(read_upright(path).shape, dtype=np.float32)
    path.write_bytes(cv2.imencode(".tiff", colours)[1].tobytes())
    assert damaged.findings("--read-data") == {}


def test_whatever_a_decoder_raises_is_a_finding(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("decoding of color planes failed")  # as of AVIF's decoder

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", fail)
    assert set(damaged.findings("--read-data")) == {"image-broken"}


def test_a_model_with_bytes_turned_over_is_seen_where_it_is_read(damaged: Damaged) -> None:
    flip(damaged.workspace.round(2).run.model, 0.5)
    assert damaged.findings() == {}
    assert set(damaged.findings("--read-data")) == {"round-file"}


def test_a_configuration_without_its_end_is_seen_where_it_is_read(damaged: Damaged) -> None:
    path = damaged.workspace.round(2).run.config
    path.write_text(path.read_text(encoding="utf-8").partition("SPARSEDET:")[0], encoding="utf-8")
    assert damaged.findings() == {}
    assert set(damaged.findings("--read-data")) == {"round-file"}


def test_images_are_compared_with_the_index_of_the_cache(damaged: Damaged) -> None:
    path = image(damaged)
    row = ["", path.stat().st_size, 0, "0" * 64, 200, 100, "", ""]
    index = damaged.workspace.root / "images.index.json"
    index.write_text(json.dumps({"version": 1, "images": {path.name: row}}))
    assert damaged.findings() == {}
    assert set(damaged.findings("--read-data")) == {"image-changed"}
    row[1] = 1
    index.write_text(json.dumps({"version": 1, "images": {path.name: row}}))
    assert set(damaged.findings()) == {"image-changed"}


def test_files_that_nothing_needs_are_said_and_nothing_wrong(damaged: Damaged) -> None:
    (damaged.workspace.images / "stray.png").write_bytes(b"whatever")
    result = damaged.check()
    assert result.status == 0
    assert "info: images/stray.png" in result.out


def test_many_findings_of_a_kind_are_summed_up(damaged: Damaged) -> None:
    shutil.rmtree(damaged.workspace.images)
    result = damaged.check()
    assert len(result.out.splitlines()) == 12
    assert "and 30 more" in result.out
    assert len(damaged.findings()["image-missing"]) == 40


def test_a_process_that_was_killed_while_it_wrote_the_ledger(damaged: Damaged) -> None:
    """SQLite left a journal: what it takes back there is taken back in the copy alone."""
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute(\"UPDATE boxes SET file_name = file_name || ' changed', outcome = ''\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ledger = damaged.workspace.ledger
    subprocess.run([sys.executable, "-c", code, str(ledger)], check=False)
    journal = ledger.with_name(f"{ledger.name}-journal")
    before = ledger.read_bytes(), journal.read_bytes()
    assert damaged.findings() == {}
    assert (ledger.read_bytes(), journal.read_bytes()) == before
    with closing(Ledger(ledger)) as opened:
        assert not any(box.file_name.endswith("changed") for box in opened.boxes())


def test_a_broken_file_of_an_unfinished_round_is_made_again(damaged: Damaged) -> None:
    folder = damaged.workspace.round(2)
    folder.push.unlink()
    cut(folder.mined)
    found = damaged.findings()
    assert [one["where"] for one in found["round-file"]] == ["rounds/002/mined.json"]
    assert damaged.check("--fix").status == 0
    assert folder.next_step == "mine"
    assert folder.run.model.exists()
    assert damaged.findings() == {}


def test_reading_reviews_names_the_remedy_of_lost_annotations(damaged: Damaged) -> None:
    workspace = damaged.workspace
    newest = workspace.round(2).annotations
    for path, remedy in (
        (newest, "; restore it from a backup"),
        (workspace.annotations, f"; run `sparsedet pull -o {workspace.root}`"),
    ):
        whole = path.read_bytes()
        cut(path)
        assert remedy in sparsedet_here("review", workspace.root).error()
        path.unlink()
        error = sparsedet_here("review", workspace.root).error()
        assert f"{path}: no such file{remedy}" in error
        path.write_bytes(whole)


def test_a_ledger_of_a_later_version_is_left_alone(damaged: Damaged) -> None:
    with closing(sqlite3.connect(damaged.workspace.ledger)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = damaged.workspace.ledger.read_bytes()
    (one,) = damaged.findings()["ledger-broken"]
    assert "another version of sparsedet" in one["what"]
    assert damaged.check("--fix").status == 3
    assert damaged.workspace.ledger.read_bytes() == before


def test_a_file_that_is_being_written_elsewhere_is_left_alone(damaged: Damaged) -> None:
    """By a training in another container or on another machine: no process here has its id."""
    path = damaged.workspace.round(2).run.checkpoints / ".00000100.pth.99999999.tmp"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    assert damaged.check("--fix").status == 0
    assert path.exists()
