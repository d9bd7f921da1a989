"""Cells are carried over where a chain of proofs leads to the code of now, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.same_code import (
    NAME,
    Proof,
    add_proof,
    carried_over,
    difference,
    read_proofs,
)
from sparsedet.errors import SparseDetError
from sparsedet.training.run_folder import RunFolder
from tests.benchmarks.accuracy.records import cell, edited, record, variant


def proof(*codes: str, method: str = "plain", variant: str = "") -> Proof:
    return Proof.model_validate(
        {
            "method": method,
            "variant": variant,
            "codes": codes,
            "data": "cells",
            "iterations": 100,
            "mined": 9,
            "date": "2026-01-01T00:00:00+00:00",
        }
    )


@pytest.mark.parametrize(
    ("proofs", "carried"),
    [
        ([], False),
        ([proof("old", "now")], True),
        ([proof("now", "old")], True),
        ([proof("between", "now"), proof("old", "between")], True),
        ([proof("older", "now"), proof("old", "other")], False),
        ([proof("old", "now", method="staged")], False),
        ([proof("old", "now", method="staged", variant="without zoom")], False),
    ],
)
def test_a_cell_is_carried_over_by_proofs_of_its_own_variant(
    proofs: list[Proof], carried: bool
) -> None:
    old = edited(record(cell("plain"), 50.0), code="old")
    found = carried_over(old, "now", proofs)
    assert found.fingerprint.code == ("now" if carried else "old")
    assert found.figures == old.figures


def test_an_ablation_has_proofs_of_its_own() -> None:
    old = edited(record(variant("without zoom", 1), 50.0), code="old")
    whole = proof("old", "now", method="staged")
    own = proof("old", "now", method="staged", variant="without zoom")
    assert carried_over(old, "now", [whole]).fingerprint.code == "old"
    assert carried_over(old, "now", [own]).fingerprint.code == "now"


def test_proofs_are_kept_one_for_two_codes(tmp_path: Path) -> None:
    assert read_proofs(tmp_path) == []
    first = proof("old", "now")
    later = proof("now", "old").model_copy(update={"iterations": 200})
    other = proof("old", "now", method="staged")
    for one in (first, other, later):
        add_proof(one, tmp_path)
    assert read_proofs(tmp_path) == [other, later]
    (tmp_path / NAME).write_text("[3]")
    with pytest.raises(SparseDetError, match="not a list of proofs"):
        read_proofs(tmp_path)


def finished_run(folder: Path, **changes: Any) -> RunFolder:
    """What a finished run leaves; by default one that has mined three boxes."""
    known = {
        "losses": [0.5, 0.25],
        "seconds": 1.0,
        "minings": {"stage1": {"labels": [[1, 2], [3, 4]], "doubtful": [[5, 6]]}},
        "weights": b"weights",
    } | changes
    run = RunFolder(folder)
    run.mining.mkdir(parents=True)
    lines = [
        {"iteration": number, "total_loss": loss, "seconds_per_iteration": known["seconds"]}
        for number, loss in enumerate(known["losses"])
    ]
    run.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for name, boxes in known["minings"].items():
        (run.mining / f"{name}.json").write_text(json.dumps(boxes))
    run.model.write_bytes(known["weights"])
    return run


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, 3),
        ({"seconds": 2.0}, 3),
        ({"minings": {"stage1": {"doubtful": [[5, 6]], "labels": [[3, 4], [1, 2]], "new": []}}}, 3),
        ({"losses": [0.5, 0.26]}, "losses"),
        ({"losses": [0.5]}, "losses"),
        ({"minings": {}}, "minings"),
        ({"minings": {"stage1": {"labels": [[1, 2], [3, 4]]}}}, "mining/stage1.json"),
        ({"weights": b"others"}, "weights"),
    ],
)
def test_runs_are_the_same_where_all_but_their_speed_is(
    tmp_path: Path, changes: dict[str, Any], found: str | int
) -> None:
    one, other = finished_run(tmp_path / "one"), finished_run(tmp_path / "other", **changes)
    assert difference(one, other) == found
