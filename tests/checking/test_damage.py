"""Each kind of damage is found, and repaired where possible."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checking.damaged import Damaged, cut, flip, image, unlinked

Damage = Callable[[Damaged], object]


def round_file(number: int, name: str) -> Callable[[Damaged], Path]:
    return lambda damaged: damaged.workspace.round(number).root / name


def swap_pushes(damaged: Damaged) -> None:
    first, second = (damaged.workspace.round(number).push for number in (1, 2))
    one, other = first.read_text(), second.read_text()
    first.write_text(other)
    second.write_text(one)


def double_a_review(damaged: Damaged) -> None:
    columns = "tool, url, project, review_project, mode, image_tool_id, review_id, skipped, content"
    damaged.sql(f"INSERT INTO reviews ({columns}) SELECT {columns} FROM reviews LIMIT 1")


def double_a_push(damaged: Damaged) -> None:
    columns = "tool, url, project, review_project, mode, model_version, round, gone, created_at"
    damaged.sql(f"INSERT INTO pushes ({columns}) SELECT {columns} FROM pushes LIMIT 1")


def leave_a_temporary_file(damaged: Damaged) -> None:
    path = damaged.workspace.images / ".07.png.99999999.tmp"
    path.write_bytes(b"half")
    make_old(path)


def leave_a_temporary_folder(damaged: Damaged) -> None:
    folder = damaged.workspace.root / ".half.99999999.tmp"
    folder.mkdir()
    (folder / "train.json").write_text("{")
    make_old(folder)


def make_old(path: Path) -> None:
    """Date it two hours back."""
    then = time.time() - 7200
    os.utime(path, (then, then))


REPAIRED: dict[str, tuple[Damage, str]] = {
    "a ledger without boxes of a round": (
        lambda d: d.sql("DELETE FROM boxes WHERE round = 1 AND rowid % 3 = 0"),
        "boxes-not-in-ledger",
    ),
    "a ledger without a push": (
        lambda d: d.sql("DELETE FROM pushes WHERE round = 1 AND mode = 'review-project'"),
        "ledger-orphans",
    ),
    "a queue without its push": (
        lambda d: d.sql("UPDATE queued_images SET push_id = push_id + 900"),
        "ledger-orphans",
    ),
    "a ledger without queues": (
        lambda d: d.sql("DELETE FROM queued_images"),
        "boxes-not-in-ledger",
    ),
    "a review that is there twice": (double_a_review, "ledger-doubles"),
    "a push that is there twice": (double_a_push, "ledger-doubles"),
    "an outcome that was turned around": (
        lambda d: d.sql("UPDATE boxes SET outcome = 'rejected' WHERE outcome = 'accepted'"),
        "outcome",
    ),
    "an outcome that no review gave": (
        lambda d: d.sql("UPDATE boxes SET outcome = 'rejected' WHERE outcome = 'pending'"),
        "outcome",
    ),
    "a judged box that waits again": (
        lambda d: d.sql("UPDATE boxes SET outcome = 'pending' WHERE outcome = 'accepted'"),
        "outcome",
    ),
    "a temporary file of a process that was killed": (leave_a_temporary_file, "left-over"),
    "a temporary folder of one": (leave_a_temporary_folder, "left-over"),
    "a broken estimate": (lambda d: cut(d.workspace.round(1).estimate), "round-file"),
    "broken candidates of a round that was pushed": (
        lambda d: cut(d.workspace.round(1).candidates), "round-file",
    ),
    "a broken date of the last reading": (
        lambda d: d.workspace.ledger.with_suffix(".read.json").write_text("{}"), "reading-broken",
    ),
}  # fmt: skip
"""What is put right here, so that a second check finds nothing."""

LEFT: dict[str, tuple[Damage, str, str]] = {
    "a missing image": (lambda d: image(d).unlink(), "image-missing", "pull -o"),
    "an image that is cut off": (lambda d: cut(image(d), 0.01), "image-broken", "pull -o"),
    "an image of another size": (
        lambda d: shutil.copy(d.folder / "large.png", unlinked(image(d))),
        "image-size",
        "pull -o",
    ),
    "an empty image": (lambda d: cut(image(d), 0.0), "image-broken", "pull -o"),
    "missing annotations": (
        lambda d: d.workspace.annotations.unlink(), "annotations-missing", "pull -o",
    ),
    "annotations that are cut off": (
        lambda d: cut(d.workspace.annotations), "annotations-broken", "pull -o",
    ),
    "a missing ledger": (lambda d: d.workspace.ledger.unlink(), "ledger-missing", "review"),
    "an empty ledger": (lambda d: cut(d.workspace.ledger, 0), "ledger-missing", "review"),
    "a ledger that is cut off": (lambda d: cut(d.workspace.ledger), "ledger-broken", "review"),
    "a ledger with bytes turned over": (
        lambda d: flip(d.workspace.ledger, 0.3, 4096), "ledger-broken", "review",
    ),
    "another file in the ledger's place": (
        lambda d: d.workspace.ledger.write_text("not a database, whatever its name says"),
        "ledger-broken",
        "review",
    ),
    "reviews that can't be read": (
        lambda d: d.sql("UPDATE reviews SET content = '{' WHERE mode = 'review-project'"),
        "ledger-rows",
        "review",
    ),
    "a review that is gone": (
        lambda d: d.sql("DELETE FROM reviews WHERE mode = 'review-project'"), "outcome", "review",
    ),
}  # fmt: skip
"""What is put right in part: the rest is one command away, which findings name."""

KEPT: dict[str, tuple[Damage, str]] = {
    "missing settings": (lambda d: d.workspace.settings_file.unlink(), "settings-missing"),
    "settings that are no TOML": (
        lambda d: d.workspace.settings_file.write_text("[source"), "settings-broken",
    ),
    "a missing name": (lambda d: (d.workspace.root / "owner.id").unlink(), "owner"),
    "a name of NULs": (
        lambda d: (d.workspace.root / "owner.id").write_bytes(bytes(32)),
        "owner",
    ),
    "an empty name": (lambda d: (d.workspace.root / "owner.id").write_text(""), "owner"),
    "a round that is missing": (
        lambda d: shutil.rmtree(d.workspace.round(1).root), "round-missing",
    ),
    "a round under two names": (
        lambda d: shutil.copytree(d.workspace.round(1).root, d.workspace.rounds / "1"),
        "round-name",
    ),
    "a missing model": (
        lambda d: d.workspace.round(1).run.model.unlink(), "round-file-missing",
    ),
    "a model that is cut off": (lambda d: cut(d.workspace.round(1).run.model), "round-file"),
    "a missing configuration": (
        lambda d: d.workspace.round(1).run.config.unlink(), "round-file-missing",
    ),
    "an empty configuration": (lambda d: cut(d.workspace.round(1).run.config, 0), "round-file"),
    "a push.json that says nothing": (
        lambda d: d.workspace.round(1).push.write_text("{}"), "round-file",
    ),
    "a push.json of other types": (
        lambda d: d.change(d.workspace.round(1).push, lambda push: {**push, "skipped": 5}),
        "round-file",
    ),
    "a round without its push.json": (
        lambda d: d.workspace.round(1).push.unlink(), "round-file-missing",
    ),
    "the push.json of another round": (swap_pushes, "push-of-another-round"),
    "mined boxes that are cut off": (lambda d: cut(d.workspace.round(1).mined), "round-file"),
    "a mined box twice": (
        lambda d: d.change(d.workspace.round(1).mined, lambda boxes: [*boxes, boxes[0]]),
        "round-file",
    ),
    "mined boxes that the ledger alone has": (
        lambda d: d.change(d.workspace.round(1).mined, lambda boxes: boxes[10:]),
        "boxes-not-mined",
    ),
    "a round without its lots, though they hold boxes": (
        lambda d: d.workspace.round(2).lots.unlink(), "round-file-missing",
    ),
    "lots that are none": (lambda d: d.workspace.round(1).lots.write_text("[]"), "round-file"),
    "a training on images that were not pulled": (
        lambda d: d.change(
            d.workspace.round(1).annotations,
            lambda coco: {**coco, "images": coco["images"][:-1], "annotations": []},
        ),
        "round-file",
    ),
    "a merge that can't be taken back": (
        lambda d: cut(next(d.workspace.root.glob("rounds/*/merged/001/*.json"))), "merge-file",
    ),
}  # fmt: skip
"""What only a backup or a person can put right."""


@pytest.mark.parametrize("name", REPAIRED)
def test_what_is_repaired_here(damaged: Damaged, name: str) -> None:
    damage, kind = REPAIRED[name]
    before = everything_judged(damaged)
    queued = damaged.rows("SELECT count(*) FROM queued_images WHERE position IS NOT NULL")
    damage(damaged)
    found = damaged.findings()
    assert kind in found
    assert all(one["repairable"] for one in found[kind])
    result = damaged.check("--fix")
    assert result.status == 0, result
    assert "repaired: " in result.err
    assert damaged.lost_and_found(), "what was in the way is kept"
    assert damaged.findings() == {}
    assert everything_judged(damaged) == before
    assert damaged.rows("SELECT count(*) FROM queued_images WHERE position IS NOT NULL") == queued


@pytest.mark.parametrize("name", LEFT)
def test_what_a_command_completes(damaged: Damaged, name: str) -> None:
    damage, kind, command = LEFT[name]
    damage(damaged)
    found = damaged.findings()
    assert kind in found
    root = damaged.workspace.root
    assert all(f"sparsedet {command}" in one["command"] for one in found[kind])
    assert all(str(root) in one["command"] for one in found[kind])
    # As --fix was called first.
    damaged.check("--mend")
    left = damaged.findings()
    assert all(one["command"] and not one["repairable"] for ones in left.values() for one in ones)


@pytest.mark.parametrize("name", KEPT)
def test_what_needs_a_backup_or_a_person(damaged: Damaged, name: str) -> None:
    damage, kind = KEPT[name]
    damage(damaged)
    found = damaged.findings()
    assert kind in found
    before = json.dumps(found[kind])
    assert damaged.check("--fix").status == 3
    assert json.dumps(damaged.findings()[kind]) == before


def everything_judged(damaged: Damaged) -> list[tuple[object, ...]]:
    """Return what the ledger says of every box that is decided."""
    return damaged.rows(
        "SELECT region_id, outcome, round FROM boxes "
        "WHERE outcome NOT IN ('pending', 'withdrawn') ORDER BY region_id"
    )


def test_the_commands_that_findings_name_complete_a_repair(damaged: Damaged) -> None:
    """A ledger that is damaged and an image that is cut off: afterwards all is as it was."""
    before = [(id, outcome != "rejected") for id, outcome, _ in everything_judged(damaged)]
    move_project(damaged)
    flip(damaged.workspace.ledger, 0.3, 4096)
    cut(image(damaged), 0.01)
    assert damaged.check("--fix").status == 3
    assert {"images/07.png", "ledger.sqlite"} <= damaged.lost_and_found()
    for found in damaged.findings().values():
        for one in found:
            run(one["command"])
    assert damaged.findings() == {}
    # A lot that is settled once more comes after people's reviews of its boxes.
    after = [(id, outcome != "rejected") for id, outcome, _ in everything_judged(damaged)]
    assert after == before


def move_project(damaged: Damaged) -> None:
    """Have the copy of the workspace know the copy of its project."""
    file = damaged.workspace.settings_file
    url = damaged.workspace.settings().source.url
    file.write_text(file.read_text().replace(url, str(damaged.folder)))
    for name in ("pushes", "reviews", "pushed_versions", "source_images"):
        damaged.sql(f"UPDATE {name} SET url = ?", str(damaged.folder))
    for folder in damaged.workspace.all_rounds():
        folder.push.write_text(folder.push.read_text().replace(url, str(damaged.folder)))


def run(command: str) -> None:
    """Type a command that a finding names."""
    words = command.split()
    assert words[0] == "sparsedet"
    subprocess.run([sys.executable, "-m", "sparsedet", *words[1:]], check=True, capture_output=True)
