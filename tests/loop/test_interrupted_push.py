"""Rounds whose push was killed: what it had planned happens once it is repeated."""

from pathlib import Path

import pytest

from sparsedet.loop.pushing import Pusher
from tests.loop.lot_project import LotProject


class Killed(BaseException):
    """As if the process ended."""


@pytest.mark.parametrize("is_reviewed", [False, True])
def test_lots_wait_until_their_samples_are_up(
    is_reviewed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = LotProject(tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Pusher, "push", killed)
        with pytest.raises(Killed):
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
