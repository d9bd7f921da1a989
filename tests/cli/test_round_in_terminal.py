"""`sparsedet round` in terminals of two widths and without one: one live line, full messages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsedet.integrations.files import FilesTool
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import Result, sparsedet
from tests.cli.terminal import Rows, Session, in_terminal

LINES = 12
"""So few that messages scroll out of sight."""
KEYS = {
    "SOLVER.WARMUP_ITERS": 1,
    "SOLVER.IMS_PER_BATCH": 2,
    "SPARSEDET.STAGED.MIN_ITER": 0,
    "INPUT.MAX_SIZE_TRAIN": 160,
    "INPUT.MAX_SIZE_TEST": 160,
}
SPINNERS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ENV = {"OMP_NUM_THREADS": "1"}


def make_project(folder: Path, images: int) -> None:
    """Make a project, one of whose images is broken, and the workspace `work` for it."""
    scenes = make_scenes(images, folder / "scenes", seed=2)
    FilesTool(str(folder)).set_up_project("digits", scenes, folder / "scenes")
    source = Source(tool="files", url=str(folder), project="digits")
    training = {"keys": KEYS, "device": "cpu"}
    settings = {"source": source, "training": training}
    Workspace(folder / "work").write_settings(Settings.model_validate(settings))
    broken = folder / "digits/images" / scenes.images[0].file_name
    data = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(data[: len(data) // 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and its workspace."""
    made = tmp_path_factory.mktemp("project")
    make_project(made, 6)
    return made


@pytest.fixture(scope="module")
def interrupted(folder: Path) -> Session:
    """A round at 80 columns; somebody presses Ctrl-C in its training, once."""
    keys = iter([b"\x03"])

    def press(rows: Rows) -> bytes | None:
        has_said = any(row.startswith("training takes about") for row in rows)
        return next(keys, None) if has_said and live(rows) else None

    return in_terminal(
        *("round", "work", "--iterations", "12", "--method", "plain"),
        columns=80,
        lines=LINES,
        cwd=folder,
        env=ENV,
        press=press,
    )


@pytest.fixture(scope="module")
def resumed(folder: Path, interrupted: Session) -> Session:
    """The same round at 120 columns, to its end; other options don't fit what has begun."""
    return in_terminal(
        *("round", "work", "--iterations", "99", "--push-anyway"),
        columns=120,
        lines=LINES,
        cwd=folder,
        env=ENV,
    )


@pytest.fixture(params=["80 columns", "120 columns"])
def session(request: pytest.FixtureRequest, interrupted: Session, resumed: Session) -> Session:
    return interrupted if request.param == "80 columns" else resumed


@pytest.fixture(scope="module")
def piped(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A round without a terminal."""
    folder = tmp_path_factory.mktemp("piped")
    make_project(folder, 6)
    words = ("round", "work", "--iterations", "12", "--method", "plain", "--push-anyway")
    # Continuous integration often asks for colours.
    return sparsedet(*words, cwd=folder, env={**ENV, "FORCE_COLOR": "1", "COLUMNS": "80"})


def live(rows: Rows) -> list[str]:
    """Return the rows that something moves in."""
    return [row for row in rows if row[0] in SPINNERS or re.search("[━╸╺]", row)]


def messages(rows: Rows) -> Iterator[str]:
    """Yield the messages; what was wrapped begins in small letters, as most of them do, so they
    differ in their beginnings."""
    begins = re.compile(
        r"round \d+|\d+ annotations|training by|training takes|trained|WARNING|libpng|mined|"
        r"interrupted|next:|about"
    )
    text = ""
    for row in rows:
        if begins.match(row) and text:
            yield text
            text = row
        else:
            text = f"{text} {row}".strip()
    yield text


def test_one_line_is_live_and_the_last_one(session: Session) -> None:
    for rows in session.seen:
        moving = live(rows)
        assert len(moving) <= 1, rows
        assert not moving or rows[-1] == moving[0], rows
    assert not live(session.rows)
    shown_once = {live(rows)[0][2:].split("  ")[0] for rows in session.seen if live(rows)}
    assert {word.split()[0] for word in shown_once} >= {"starting", "training"}


def test_a_line_of_the_training_shows_how_far_it_is(session: Session) -> None:
    lines = [row for rows in session.seen for row in live(rows) if re.match(". training ", row)]
    pattern = r". training [━╸╺]+ \d+/12( left 0:0\d:\d\d)? loss \d+\.\d+ \d+\.\d img/s \d\.\d GiB"
    assert all(re.match(pattern, line) for line in lines), lines
    assert len({re.findall(r"\d+/12", line)[0] for line in lines}) > 1


def test_what_was_said_stays(session: Session) -> None:
    said: list[str] = []
    for rows in session.seen:
        moving = live(rows)
        now = [row for row in rows if row not in moving]
        # The last one may have been read before all of it was written.
        assert now[: max(0, len(said) - 1)] == said[: max(0, len(said) - 1)]
        said = now


def test_an_interrupted_round_shows_whole_lines(interrupted: Session) -> None:
    assert interrupted.status == 130
    patterns = [
        "round 1: pull",
        r"\d+ annotations on 6 images \(\d+ in the project itself\); 0 boxes that reviewers "
        "rejected",
        "round 1: split",
        "round 1: train",
        "training by 'plain' on cpu, 12 iterations; the first ones will show how long it takes",
        r"training takes about \d+ s: \d more iterations of [\d.]+ s, measured over the first "
        r"\d",
        r"interrupted; repeat the command to resume \(train: with --resume\)",
    ]
    said = list(messages(interrupted.rows))
    # They come when the image is met: one from the library that reads it, and ours.
    broken = [line for line in said if line.startswith(("libpng", "WARNING"))]
    assert [line[:7] for line in sorted(broken)] == ["WARNING", "libpng "]
    assert sorted(broken)[0].endswith("(is the file complete?); the image is skipped")
    said = [line for line in said if line not in broken]
    assert len(said) == len(patterns), said
    for line, pattern in zip(said, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_a_resumed_round_keeps_its_options_and_says_so(resumed: Session) -> None:
    assert resumed.status == 0
    said = list(messages(resumed.rows))
    assert said[0] == (
        "round 1 began with --iterations 12, not --iterations 99, and keeps it; "
        "--restart starts it over"
    )
    headings = [line for line in said if re.fullmatch("round 1: [a-z]+", line)]
    assert headings == [f"round 1: {step}" for step in ("train", "mine", "push")]
    assert any(line.startswith("training by 'plain' on cpu, 12 iterations") for line in said)
    assert "next: review them there, draw what is missing and mark images as complete, then: " in (
        line[: line.find("sparsedet")] for line in said
    )
    assert not any("--iterations NUMBER" in line for line in said), "a short one is said to be long"


def test_messages_are_those_of_a_round_without_a_terminal(resumed: Session, piped: Result) -> None:
    same = ("mined", "about", "next:")
    said = [line for line in messages(resumed.rows) if line.startswith(same)]
    assert len(said) == len(same)
    assert set(said) <= set(f"{piped.out}{piped.err}".splitlines())


def test_without_a_terminal_there_are_plain_lines(piped: Result) -> None:
    assert piped.status == 0
    text = piped.out + piped.err
    assert "\x1b" not in text
    assert "\r" not in text
    assert not re.search(f"[━╸╺{SPINNERS}]", text)
    lines = piped.err.splitlines()
    headings = [line for line in lines if re.fullmatch("round 1: [a-z]+", line)]
    steps = ("pull", "split", "train", "mine", "push")
    assert headings == [f"round 1: {step}" for step in steps]
    assert sum(line.startswith("plain ") for line in lines) == 1
    own = [line for line in lines if not line.startswith("libpng")]
    assert len(set(own)) == len(own)
    (last,) = [line for line in lines if line.startswith("next:")]
    assert last.endswith("then: sparsedet round work")
