"""`sparsedet init`: a folder becomes a workspace."""

import io
import shutil
from pathlib import Path

import pytest

from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    create_project,
    labelling_config,
)
from sparsedet.loop.settings import read_settings
from tests.cli.command import Result, sparsedet, sparsedet_here
from tests.hostile.odd_server import json_answer, odd_server
from tests.integrations.files.formats.datasets import write_image
from tests.integrations.files.samples import write_project


@pytest.fixture
def project(tmp_path: Path) -> str:
    """A project folder below the test's folder."""
    write_project(tmp_path / "cars")
    return "cars"


def test_it_tries_the_connection_and_writes_the_settings(tmp_path: Path, project: str) -> None:
    words = ("init", "work", "--tool", "files", "--url", ".", "--project", project)
    result = sparsedet(*words, cwd=tmp_path)
    assert result.status == 0, result.err
    settings = read_settings(tmp_path / "work/sparsedet.toml")
    assert settings.source.tool == "files"
    assert settings.source.url == FilesTool(str(tmp_path)).url
    assert settings.review.mode == "auto"
    assert settings.review.sure_first
    assert settings.validation.auto
    assert "next: sparsedet round work" in result.err
    assert "already exists" in sparsedet_here(*words, cwd=tmp_path).error()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tool", "files"), "missing project: pass --project"),
        (("--tool", "paper", "--project", "1"), "no integration 'paper'"),
        (("--tool", "files", "--project", "nowhere"), "nowhere"),
        (("--tool", "files", "--project", "x", "--mode", "loud"), "draft, sheets or auto"),
        (("--project", "7"), "missing Label Studio address"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_file(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    env = {"LABEL_STUDIO_URL": "", "LABEL_STUDIO_API_KEY": ""}
    assert message in sparsedet_here("init", "work", *words, cwd=tmp_path, env=env).error()
    assert not (tmp_path / "work/sparsedet.toml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init", "work", "--project", "http://here/projects/7"), "expected the number in its URL"),
        (("pull", "-o", "work", "--project", "cars"), "expected the number in its URL"),
        (("init", "cars", "--project", "7"), "annotations.json: not written by a pull"),
        (("pull", "-o", "cars", "--project", "7"), "annotations.json: not written by a pull"),
        (("serve", "cars"), "cars: no run here"),
        (("serve", "--workspace", "work"), "sparsedet.toml: no such file"),
        (("serve", "--disconnect", "cars"), "expected the number in its URL"),
        (("predict", "cars", "--push", "cars", "--undo"), "expected the number in its URL"),
    ],
)
def test_arguments_are_checked_before_address_and_key(
    tmp_path: Path, project: str, words: tuple[str, ...], message: str
) -> None:
    env = {"LABEL_STUDIO_URL": "", "LABEL_STUDIO_API_KEY": ""}
    assert message in sparsedet_here(*words, cwd=tmp_path, env=env).error()


def test_the_project_itself_is_no_workspace(tmp_path: Path, project: str) -> None:
    words = ("init", project, "--tool", "files", "--url", ".", "--project", project)
    assert "cars is the project itself" in sparsedet_here(*words, cwd=tmp_path).error()
    assert not (tmp_path / "cars/sparsedet.toml").exists()


def test_neither_is_the_folder_of_its_yaml_file(tmp_path: Path) -> None:
    """The next pull would read the copies of its images as further images."""
    write_image(tmp_path / "cars" / "a.png")
    (tmp_path / "cars" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "cars" / "data.yaml").write_text("train: .\nval: .\nnames: [car]\n")
    before = sorted((tmp_path / "cars").iterdir())
    named = ("--tool", "files", "--project", "cars/data.yaml")
    for words in (("init", "cars", *named), ("pull", "-o", "cars", *named)):
        assert "cars is the project itself" in sparsedet_here(*words, cwd=tmp_path).error()
    left = (path for path in (tmp_path / "cars").iterdir() if not path.name.startswith("."))
    assert sorted(left) == before


@pytest.mark.parametrize("command", [("init",), ("pull", "-o")])
def test_a_folder_with_annotations_of_its_own_is_no_workspace(
    tmp_path: Path, project: str, command: tuple[str, ...]
) -> None:
    """The first pull would replace them."""
    shutil.copytree(tmp_path / "cars", tmp_path / "dogs")
    words = (*command, "dogs", "--tool", "files", "--url", ".", "--project", project)
    before = (tmp_path / "dogs/annotations.json").read_bytes()
    error = sparsedet_here(*words, cwd=tmp_path).error()
    assert "annotations.json: not written by a pull, which would replace it" in error
    assert (tmp_path / "dogs/annotations.json").read_bytes() == before
    # A workspace that lost its settings may have them again.
    (tmp_path / "dogs/rounds").mkdir()
    assert sparsedet_here(*words, cwd=tmp_path).status == 0


@pytest.mark.label_studio
def test_who_can_mark_images_as_complete(tmp_path: Path, label_studio: LocalServer) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    env = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.api_key}
    own = labelling_config(["cat"])
    for config, mode, said in (
        (own, "draft", ""),
        (own.replace("sparsedet_complete", "other"), "review-project", "reviewers have one in"),
        (own.replace("sparsedet_complete", "other"), "draft", "images can't be marked"),
    ):
        number = create_project(tool.connection, "Cats", config)
        words = ("init", f"work-{number}", "--project", str(number), "--mode", mode)
        result = sparsedet_here(*words, cwd=tmp_path, env=env)
        assert result.status == 0, result.err
        assert ("note: the project has no Choices control" in result.err) is bool(said)
        assert said in result.err


class _Typed(io.StringIO):
    """What somebody types on a terminal."""

    def isatty(self) -> bool:
        return True


def test_one_of_several_controls_is_named_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = '<RectangleLabels name="{}" toName="image"><Label value="{}"/></RectangleLabels>'
    both = "".join(boxes.format(name, label) for name, label in (("big", "bus"), ("small", "ant")))
    xml = f'<View><Image name="image" value="$image"/>{both}</View>'
    with odd_server() as server:
        project = {"id": 1, "title": "all", "label_config": xml, "description": ""}
        server.answers["/api/projects/1"] = json_answer(project)
        env = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": "0" * 40}

        def init(folder: str, *more: str) -> Result:
            words = ("init", folder, "--project", "1", *more)
            return sparsedet_here(*words, cwd=tmp_path, env=env)

        assert "(found: big, small); name one" in init("none").error()
        assert "labels ant" in init("named", "--control", "small", "--view", "3").out
        assert read_settings(tmp_path / "named/sparsedet.toml").source.control == "small"
        assert read_settings(tmp_path / "named/sparsedet.toml").source.view == 3
        monkeypatch.setattr("sys.stdin", _Typed("small\n"))
        asked = init("asked")
        assert "Control for boxes (big, small)" in asked.err
        assert read_settings(tmp_path / "asked/sparsedet.toml").source.control == "small"
