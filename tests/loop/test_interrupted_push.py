"""Rounds whose push was killed: what it had planned happens once it is repeated."""

from pathlib import Path

import pytest

from tests.loop.killed_push import killed_push
from tests.loop.lot_project import LotProject


@pytest.mark.parametrize("is_reviewed", [False, True])
def test_lots_wait_until_their_samples_are_up(is_reviewed: bool, tmp_path: Path) -> None:
    project = LotProject(tmp_path)

    with killed_push():
        project.round(1)
    if is_reviewed:
        # Any command that reads reviews also settles lots.
        project.command("review", "work")
    folder = project.workspace.round(1)
    project.rounds.advance(force=True, push_anyway=True)
    lot = project.lot()
    assert lot.state == "waiting"
    assert set(lot.sample) <= project.shown_ids()
    assert project.outcomes(lot.rest) == {"pending": len(lot.rest)}
    project.review(draw_share=0.0)
    project.rounds.collect(folder)
    assert project.lot().state == "passed"
    assert project.outcomes(lot.rest) == {"sampled": len(lot.rest)}
