"""What makes a cell stale."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.accuracy.data import FullData
from benchmarks.accuracy.fingerprint import (
    code_hash,
    configuration_hash,
    fingerprint,
)
from benchmarks.accuracy.staleness import stale
from sparsedet.annotations import Box
from tests.benchmarks.accuracy.records import cell, edited, record, variant


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (("SPARSEDET.STAGED.LABELS", "False"), {"staged"}),
        (("SPARSEDET.MINING.QUANTILE", "0.5"), {"staged"}),
        (("SPARSEDET.PSEUDO_POSITIVES.LOSS_WEIGHT", "0.5"), {"end-to-end"}),
        (("SOLVER.BASE_LR", "0.1"), {"plain", "staged", "end-to-end"}),
    ],
)
def test_only_keys_that_a_method_reads_make_its_cells_stale(
    overrides: tuple[str, ...], changed: set[str]
) -> None:
    def hashed(method: str, *more: str) -> str:
        return configuration_hash(cell(method, overrides=more), classes=2)

    methods = ("plain", "staged", "end-to-end")
    assert {name for name in methods if hashed(name, *overrides) != hashed(name)} == changed


def test_the_code_that_decides_about_figures_is_hashed(tmp_path: Path) -> None:
    for name in ("modeling", "training", "mining", "ledger"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text(f"name = {name!r}\n")
    first = code_hash(tmp_path)
    (tmp_path / "ledger" / "one.py").write_text("name = 'edited'\n")
    (tmp_path / "mining" / "one.py").write_text('"""Text."""\n\n# A comment.\nname = "mining"\n')
    (tmp_path / "mining" / "notes.txt").write_text("no code\n")
    (tmp_path / "modeling" / "config.py").write_text("keys and defaults, hashed with their values")
    assert code_hash(tmp_path) == first
    for name in ("modeling", "training", "mining"):
        before = code_hash(tmp_path)
        (tmp_path / name / "one.py").write_text("name = 'edited'\n")
        assert code_hash(tmp_path) != before
    before = code_hash(tmp_path)
    (tmp_path / "mining" / "one.py").rename(tmp_path / "mining" / "two.py")
    assert code_hash(tmp_path) != before
    assert code_hash() == code_hash()


def test_cells_of_one_seed_train_on_the_same_boxes(digits: FullData) -> None:
    plain = fingerprint(cell("plain"), digits, "code")
    assert plain.differences(fingerprint(cell("staged"), digits, "code")) == ["configuration"]
    assert plain.differences(fingerprint(cell(seed=2), digits, "code")) == [
        "configuration",
        "training data",
    ]
    assert plain.differences(fingerprint(cell(drop=0.7), digits, "code")) == ["training data"]
    missed = replace(digits, unlabelled_test=[Box(1, 1, 1, (0, 0, 9, 9))])
    assert plain.differences(fingerprint(cell(), missed, "code")) == ["test data"]


@pytest.mark.parametrize(
    ("hashes", "reason"),
    [
        ({"code": "other"}, "code"),
        ({"configuration": "other"}, "configuration"),
        ({"training_data": "other"}, "training data"),
        ({"test_data": "other"}, "test data"),
    ],
)
def test_what_has_changed_makes_a_cell_stale(
    digits: FullData, hashes: dict[str, str], reason: str
) -> None:
    of = cell(data="digits")
    now = record(of, 50, fingerprint=fingerprint(of, digits, "code"))
    assert stale([now], "code", digits) == {}
    assert stale([edited(now, **hashes)], "code", digits) == {of.key: [reason]}


def test_an_ablation_with_other_overrides_is_stale() -> None:
    current = record(variant("mined once", 1), 50)
    former = record(cell("staged", variant="mined once", overrides=("SOLVER.BASE_LR", "0.1")), 50)
    gone = record(cell("staged", variant="no such thing"), 50)
    assert stale([current], "code", None) == {}
    assert stale([former], "code", None) == {former.cell.key: ["configuration"]}
    assert list(stale([gone], "code", None)) == [gone.cell.key]


def test_where_the_data_is_not_at_hand_figures_of_two_states_never_meet() -> None:
    old = [record(cell(method), 50) for method in ("plain", "staged")]
    other_drop = record(cell(drop=0.9), 50)
    new = edited(old[0], training_data="new").model_copy(
        update={"date": "2026-01-02T00:00:00+00:00"}
    )
    assert stale([*old, other_drop], "code", None) == {}
    assert stale([new, old[1], other_drop], "code", None) == {old[1].cell.key: ["training data"]}
    new = edited(new, training_data=old[0].fingerprint.training_data, test_data="new")
    assert stale([new, old[1], other_drop], "code", None) == {
        old[1].cell.key: ["test data"],
        other_drop.cell.key: ["test data"],
    }
