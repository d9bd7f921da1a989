"""Commands in a terminal: their prompts, when they don't prompt, and names on the screen."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Category, read_coco, write_coco
from sparsedet.atomic_io import read_json, write_json
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    create_project,
    labelling_config,
)
from sparsedet.loop.settings import ReviewSettings, Settings
from tests.cli.terminal import Rows, in_terminal
from tests.loop.small_project import SmallProject


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def test_with_a_project_nothing_is_asked(project: SmallProject) -> None:
    session = in_terminal(
        *("init", "new", "--tool", "files", "--project", project.project),
        columns=80,
        cwd=project.folder,
    )
    assert session.status == 0
    text = " ".join(session.rows)
    assert "3 images, labels cat, dog" in text
    assert text.endswith("next: sparsedet round new")
    assert "?" not in text
    assert "[" not in text, "a question has its default in brackets"


@pytest.mark.label_studio
def test_with_address_and_key_in_the_environment_neither(
    tmp_path: Path, label_studio: LocalServer
) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    number = create_project(tool.connection, "Cats", labelling_config(["cat"]))
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    session = in_terminal(
        *("init", "new", "--project", str(number)), columns=80, cwd=tmp_path, env=env
    )
    assert session.status == 0
    text = " ".join(session.rows)
    assert text.startswith(f"new/sparsedet.toml: project {number} (Cats), 0 images, labels cat")
    assert text.endswith("next: sparsedet round new")
    assert label_studio.api_key not in text


def test_without_a_project_there_are_questions(project: SmallProject) -> None:
    answers = iter([b"files\n", b"\n", f"{project.project}\n".encode(), b"\n"])

    def press(rows: Rows) -> bytes | None:
        return next(answers, None) if re.search(r": *$|\]:$", rows[-1]) else None

    session = in_terminal("init", "new", columns=80, cwd=project.folder, press=press)
    assert session.status == 0
    questions = [re.split(r" \[|:", row.strip())[0] for row in session.rows[:4]]
    assert questions == [
        "Annotation tool",
        "Folder",
        "Project's folder",
        "Choices control that marks an image as completely labelled",
    ]


def test_names_leave_the_screen_as_it_is(project: SmallProject) -> None:
    dataset = read_coco(project.annotations)
    cat, dog = dataset.categories
    nasty = Category(cat.id, "[bold]cat[/bold]\x1b[2J\x1b[H\x9b31m\rnothing")
    write_coco(replace(dataset, categories=(nasty, dog)), project.annotations)
    session = in_terminal(
        *("init", "new", "--tool", "files", "--project", project.project),
        columns=120,
        cwd=project.folder,
    )
    assert session.rows[0].startswith("new/sparsedet.toml: project ")
    assert "labels [bold]cat[/bold]\\x1b[2J\\x1b[H\\x9b31m nothing, dog" in " ".join(session.rows)


def test_results_in_a_pipe_have_no_progress_in_them(project: SmallProject) -> None:
    session = in_terminal(
        *("pull", "-o", "work", "--json"), columns=80, cwd=project.folder, pipe_stdout=True
    )
    assert session.status == 0
    assert json.loads(session.out)["images"] == 3
    assert any("reading annotations" in row for rows in session.seen for row in rows)
    assert session.rows == ()


def test_a_question_has_the_terminal_for_itself(project: SmallProject) -> None:
    settings = Settings(source=project.source, review=ReviewSettings(min_reviewed=0.5))
    project.workspace.write_settings(settings)
    project.push_round(1, "first")
    folder = project.workspace.round(1)
    write_json(folder.known, {"settled": []})
    write_json(folder.push, {**read_json(folder.push), "images": 3, "url": "here"})
    project.review("a.png")

    def press(rows: Rows) -> bytes | None:
        return b"n\n" if rows[-1].endswith("[y/N]:") else None

    session = in_terminal("round", "work", columns=80, cwd=project.folder, press=press)
    assert session.status == 0
    question, end, *after = session.rows
    assert question == "1 of 3 images reviewed since the last push, less than 50% ([review]"
    # The terminal may show the answer before the blank that the question ends with, which click
    # writes on its own: it is missing there, and may begin the next row.
    assert end.replace("]:n", "]: n") == "min_reviewed). Start the next round? [y/N]: n"
    assert [row.lstrip() for row in after[:2]] == [
        "round 1: 1 of 3 images reviewed since the last push, at here",
        "next: review there, then: sparsedet round work (--next starts the next round",
    ]


def test_a_wide_table_has_no_row_that_the_terminal_breaks(project: SmallProject) -> None:
    project.workspace.write_settings(Settings(source=project.source))
    project.push_round(1, "first")
    project.review("a.png")
    session = in_terminal("status", "work", columns=60, cwd=project.folder)
    assert session.status == 0
    start = session.rows.index("Rounds in work")
    head, first, total, *rest = session.rows[start + 1 :]
    assert head.split() == ["round", "annotations", "mined", "accepted", "edited", "rejected"]
    assert [first.split()[0], total.split()[0]] == ["1", "all"]
    head, first, total, *rest = rest
    assert head.split()[:4] == ["round", "pending", "withdrawn", "precision"]
    assert [first.split()[0], total.split()[0]] == ["1", "all"]
    assert rest[0].split() == ["round", "complete", "%", "AP50"]
