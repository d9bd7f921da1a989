"""Options of one round: stored with it, with a message if they differ from its start."""

import math
from pathlib import Path
from typing import Any

import pytest

from sparsedet.errors import ConfigError
from sparsedet.loop.round_options import NO_OPTIONS, RoundOptions, read_options
from sparsedet.loop.workspace import Workspace
from sparsedet.training.engine.callbacks import Callbacks
from tests.loop.test_round_settings import Stop, make_workspace, rounds


def stop(progress: object) -> None:
    raise Stop


def stopped(workspace: Workspace, **options: Any) -> list[str]:
    """Run a round until the first iteration of its training; return what is said of options."""
    said: list[str] = []
    with pytest.raises(Stop):
        rounds(workspace, said, callbacks=Callbacks(on_progress=stop)).advance(
            options=RoundOptions(**options)
        )
    return [line for line in said if "began" in line or "changed" in line]


def began(workspace: Workspace) -> tuple[str, bool]:
    """Return the method, and whether the training has three iterations."""
    run = workspace.round(1).run
    return run.info().method, "MAX_ITER: 3" in run.config.read_text()


def test_a_resumed_round_keeps_its_options(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    assert stopped(workspace, iterations=3, method="end-to-end") == []
    assert began(workspace) == ("end-to-end", True)
    assert stopped(workspace) == []
    assert began(workspace) == ("end-to-end", True)
    assert read_options(workspace.round(1)) == RoundOptions(3, None, "end-to-end")
    # The same again is nothing to speak of.
    assert stopped(workspace, iterations=3, device="cpu") == []


def test_other_options_are_said_and_the_training_continues_as_it_began(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    stopped(workspace, iterations=3)
    assert stopped(workspace, iterations=5, method="staged", device="auto") == [
        "round 1 began with --iterations 3 --method plain, not --iterations 5 --method staged, and "
        "keeps it; --restart starts it over",
        "round 1 began with --device cpu; it continues with --device auto",
    ]
    assert began(workspace) == ("plain", True)
    assert read_options(workspace.round(1)) == RoundOptions(3, "auto", None)


def test_a_training_of_one_iteration_is_worded_as_one(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(Stop):
        rounds(make_workspace(tmp_path), said, callbacks=Callbacks(on_progress=stop)).advance(
            options=RoundOptions(iterations=1)
        )
    assert "training by 'plain' on cpu, 1 iteration" in said


def test_before_its_training_a_round_takes_other_options(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)

    def interrupt(line: str) -> None:
        if line == "round 1: split":
            raise Stop

    first = rounds(workspace)
    first.say = interrupt
    with pytest.raises(Stop):
        first.advance(options=RoundOptions(iterations=9, device="cpu"))
    assert stopped(workspace, iterations=3) == [
        "round 1 began with --iterations 9; it continues with --iterations 3"
    ]
    assert began(workspace) == ("plain", True)
    assert read_options(workspace.round(1)) == RoundOptions(3, "cpu", None)


def test_a_round_that_starts_over_forgets_them_and_so_does_the_next_one(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    stopped(workspace, iterations=3)
    done = rounds(workspace).advance(restart=True, push_anyway=True)
    assert done.state == "pushed"
    assert began(workspace) == ("plain", False)
    assert read_options(workspace.round(1)) == NO_OPTIONS

    rounds(workspace).advance(force=True, push_anyway=True, options=RoundOptions(iterations=3))
    assert "MAX_ITER: 3" in workspace.round(2).run.config.read_text()


def test_minutes_are_measured_once(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    assert stopped(workspace, minutes=1e-4) == []
    # The least: so short a time has room for none.
    text = workspace.round(1).run.config.read_text()
    assert "MAX_ITER: 10\n" in text
    assert "WARMUP_ITERS: 1\n" in text
    assert read_options(workspace.round(1)) == RoundOptions(minutes=1e-4)
    # Measured again, a minute would be longer.
    assert stopped(workspace) == []
    assert stopped(workspace, minutes=1.0) == [
        "round 1 began with --minutes 0.0001, not --minutes 1, and keeps it; --restart "
        "starts it over"
    ]
    assert stopped(workspace, iterations=5) == [
        "round 1 began with --minutes 0.0001, not --iterations 5, and keeps it; "
        "--restart starts it over"
    ]
    assert workspace.round(1).run.config.read_text() == text


def test_iterations_replace_minutes_and_minutes_iterations() -> None:
    assert RoundOptions(iterations=5).before(RoundOptions(minutes=3)) == RoundOptions(5)
    assert RoundOptions(minutes=3).before(RoundOptions(iterations=5)) == RoundOptions(minutes=3)
    kept = RoundOptions(device="cpu").before(RoundOptions(minutes=3))
    assert kept == RoundOptions(device="cpu", minutes=3)


@pytest.mark.parametrize(
    "options", [{"iterations": 5, "minutes": 1.0}, {"minutes": 0.0}, {"minutes": math.inf}]
)
def test_a_length_is_said_once_and_more_than_0(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^--minutes "):
        RoundOptions(**options)


@pytest.mark.parametrize("options", [{"method": "magic"}, {"device": "tpu"}])
def test_unknown_values_are_refused(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=rf"^--{name} {value}: expected \w+, .* or \w+$"):
        RoundOptions(**options)


def test_settings_that_do_not_fit_leave_the_round_as_it_is(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    stopped(workspace, iterations=3)
    before = workspace.round(1).run.config.read_bytes()
    workspace = make_workspace(
        tmp_path, training={"config": "lite_fpn", "device": "cpu", "method": "plain"}
    )
    with pytest.raises(ConfigError, match="no configuration 'lite_fpn'"):
        rounds(workspace).advance(restart=True)
    assert workspace.round(1).run.config.read_bytes() == before
