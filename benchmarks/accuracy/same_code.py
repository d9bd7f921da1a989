"""Codes that were seen to train the same, to the last bit: a cell of one is a cell of the other.

The hash of the code changes with every statement, also with those that change no figure. On a CPU
the same seed gives the same losses, so that this can be seen: `benchmarks/same_code.py` trains
short runs with two versions, and notes what came out the same.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import SparseDetError
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.run_folder import RunFolder

from .cell import Cell
from .record import Record

NAME = "same_code.json"
_SPEED = {"seconds_per_iteration", "images_per_second", "memory_mib"}
"""What lines of `metrics.json` say of the machine."""


class Proof(BaseModel):
    """Two codes that trained the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    variant: str
    """Name of the ablation; empty: the method as it is."""
    codes: tuple[str, str]
    """Their hashes."""
    data: str
    iterations: int
    mined: int
    """Boxes that both have mined between the stages; of `end-to-end` the lines of `metrics.json`
    with a self-supervised loss."""
    date: str
    """ISO 8601, UTC."""

    def is_about(self, cell: Cell) -> bool:
        """Tell whether a cell trains by what was compared."""
        return (self.method, self.variant) == (cell.method, cell.variant)


def read_proofs(results: Path) -> list[Proof]:
    """Return what was seen so far."""
    path = results / NAME
    if not path.exists():
        return []
    content: Any = read_json(path)
    try:
        return [Proof.model_validate(entry) for entry in content]
    except (ValidationError, TypeError) as error:
        raise SparseDetError(f"{path}: not a list of proofs; restore or remove it") from error


def add_proof(proof: Proof, results: Path) -> None:
    """Note that two codes train the same, in place of what was known of the two."""
    others = [
        known
        for known in read_proofs(results)
        if (known.method, known.variant, set(known.codes))
        != (proof.method, proof.variant, set(proof.codes))
    ]
    proofs = [known.model_dump(mode="json") for known in [*others, proof]]
    write_json(results / NAME, proofs, indent=1)


def carried_over(record: Record, code: str, proofs: Sequence[Proof]) -> Record:
    """Return a record as one of `code`, if a chain of proofs leads there; else as it is."""
    pairs = [proof.codes for proof in proofs if proof.is_about(record.cell)]
    reached = {record.fingerprint.code}
    # Every pass that changes anything reaches at least one more code.
    for _ in pairs:
        for one, other in pairs:
            if one in reached or other in reached:
                reached |= {one, other}
    if code not in reached:
        return record
    fingerprint = record.fingerprint.model_copy(update={"code": code})
    return record.model_copy(update={"fingerprint": fingerprint})


def difference(one: RunFolder, other: RunFolder) -> str | int:
    """Return what differs between two finished runs; else how many boxes both have mined."""
    losses = [
        [
            {name: value for name, value in line.items() if name not in _SPEED}
            for line in read_metrics(run.metrics)
        ]
        for run in (one, other)
    ]
    if losses[0] != losses[1]:
        return "losses"
    files = [sorted(path.name for path in run.mining.glob("*.json")) for run in (one, other)]
    if files[0] != files[1]:
        return "minings"
    count = 0
    for name in files[0]:
        found = [_mined(run.mining / name) for run in (one, other)]
        if found[0] != found[1]:
            return f"mining/{name}"
        count += sum(map(len, found[0].values()))
    if one.model.read_bytes() != other.model.read_bytes():
        return "weights"
    return count


def _mined(path: Path) -> dict[str, list[Any]]:
    """Return mined boxes by kind: versions may differ in their order, and in kinds without any."""
    return {
        kind: sorted(boxes, key=json.dumps)
        for kind, boxes in read_json(path).items()
        if isinstance(boxes, list) and boxes
    }
