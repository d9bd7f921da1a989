"""Cells, their records and their tables for tests."""

from benchmarks.accuracy.plan import ABLATIONS, Cell, Plan
from benchmarks.accuracy.record import Figures, Record

PLAN = Plan(drops=(0.0, 0.5), seeds=(1, 2, 3), extreme_seeds=1, ablation_drop=0.5)


def cell(method: str = "plain", seed: int = 1, drop: float | None = 0.5, **more: object) -> Cell:
    known = {"data": "cells", "recipe": "random", "iterations": 8, "config": "lite0_fpn"}
    return Cell.model_validate(known | {"method": method, "seed": seed, "drop": drop} | more)


def variant(name: str, seed: int) -> Cell:
    overrides = next(ablation.overrides for ablation in ABLATIONS if ablation.name == name)
    return cell("staged", seed, variant=name, overrides=overrides)


def record(of: Cell, ap: float, *, ignoring: float | None = None, **more: object) -> Record:
    def figures(value: float) -> Figures:
        per_class: dict[str, float | None] = {"red": value, "white": value}
        return Figures(
            AP=value, AP50=value + 30, AP75=value, per_class=per_class, images=9, annotations=40
        )

    known = {
        "cell": of,
        "commit": "c0ffee1",
        "training_boxes": 30,
        "removed_boxes": 70,
        "figures": figures(ap),
        "unlabelled_ignored": None if ignoring is None else figures(ignoring),
        "mined": {},
        "seconds": 200.0,
        "cpu_seconds": 100.0,
        "versions": {},
        "date": "2026-01-01T00:00:00+00:00",
    }
    return Record.model_validate(known | more)


def table(text: str, head: str) -> list[list[str]]:
    """Return the cells of the rows below the line that starts with `head`."""
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines]
