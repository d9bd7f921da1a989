"""Cells are carried over where a chain of proofs leads to the code of now, and nowhere else."""

from pathlib import Path

import pytest

from benchmarks.accuracy.same_code import NAME, Proof, add_proof, carried_over, read_proofs
from sparsedet.errors import SparseDetError
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
