"""Help and completion: for every command and option, and fast: no heavy imports."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sparsedet.cli.app import app
from sparsedet.config.training_config import METHODS
from sparsedet.config.training_config import names as config_names
from sparsedet.formats import format_names, writable_formats
from sparsedet.loop.data_sources import RELEASED
from sparsedet.plugins import integration_names
from sparsedet.sparsify import recipe_names
from tests.cli.command import sparsedet, sparsedet_here

HEAVY = ("torch", "detectron2", "numpy", "cv2", "PIL", "yaml", "sqlalchemy", "label_studio_sdk")
GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
PANELS = ("Start", "Loop", "Data", "Training")


@pytest.mark.parametrize("module", HEAVY)
def test_the_command_line_is_imported_without(module: str) -> None:
    code = f"import sys, sparsedet.cli.app; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_command_is_in_a_panel_with_a_summary_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = sparsedet_here("--help").out.splitlines()
    listed: dict[str, str] = {}
    panel = ""
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            panel = line.removesuffix(":")
        elif line.startswith("  ") and panel in PANELS:
            name, summary = line.split(maxsplit=1)
            listed[name] = panel
            assert summary.endswith("."), line
            assert not summary.endswith("..."), line
    assert listed == {name: command.rich_help_panel for name, command in COMMANDS.items()}
    assert set(listed.values()) == set(PANELS)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_h_is_help(name: str | None) -> None:
    words = [] if name is None else [name]
    short, long = (sparsedet_here(*words, option) for option in ("-h", "--help"))
    assert short.status == 0, short.err
    assert short.out.startswith("Usage: ")
    assert short.out == long.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_values_have_no_names_of_python_types(name: str) -> None:
    text = sparsedet_here(name, "--help").out
    assert re.findall(r"<(?!(?:path|text|integer|number)>)[a-z][a-z \[\]]*>", text) == []


def test_options_that_go_together_stand_together() -> None:
    text = sparsedet_here("split", "--help").out
    sections = dict(part.split(":\n", 1) for part in text.split("\n\n") if ":\n" in part)
    together = {
        "Data to split": ("FULL.json|FOLDER", "--project", "--tool", "--url", "--images"),
        "Boxes to remove": ("--recipe", "--drop", "--set"),
        "A published split": ("--released", "--data-root"),
        "Images to hold out": ("--val", "--group-by", "--near-duplicates"),
        "Options": ("--output", "--seed", "--json", "--help"),
    }
    for title, options in together.items():
        (body,) = [body for name, body in sections.items() if name.startswith(title)]
        for option in options:
            assert any(option in line[:30] for line in body.splitlines()), (title, option)


@pytest.mark.parametrize(
    ("command", "parameter", "values"),
    [
        ("split", "recipe", recipe_names()),
        ("convert", "to", writable_formats()),
        ("convert", "from_format", format_names()),
    ],
)
def test_help_names_every_value(command: str, parameter: str, values: list[str]) -> None:
    option = next(param for param in COMMANDS[command].params if param.name == parameter)
    words = re.findall(r"[\w-]+", getattr(option, "help", ""))
    assert [value for value in values if value not in words] == []


def test_no_command_shows_the_help() -> None:
    assert "Usage" in sparsedet().out + sparsedet().err


def test_version() -> None:
    assert sparsedet("--version").out.startswith("sparsedet ")


MODES = ["review-project", "draft", "sheets"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train --method", METHODS),
        ("train --config", ["auto", *config_names()]),
        ("train --device", ["auto", "cpu", "cuda"]),
        ("split --recipe", recipe_names()),
        ("compare a.json b.json --recipe", recipe_names()),
        ("recipes", recipe_names()),
        ("split --released", RELEASED),
        ("init --mode", [*MODES, "auto"]),
        ("push --mode", MODES),
        ("convert --to", writable_formats()),
        ("convert --from", format_names()),
        *((f"{name} --tool", integration_names()) for name in ("init", "pull", "push", "demo")),
        ("split --tool", integration_names()),
    ],
)
def test_values_are_completed(
    words: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert complete(words, "", monkeypatch, capsys) == list(expected)
    first = next(iter(expected))
    begun = first[: len(first) // 2]
    assert complete(words, begun, monkeypatch, capsys) == [
        value for value in expected if value.startswith(begun)
    ]


def complete(
    words: str,
    begun: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    """Return what the shell offers after `words`, where `begun` is typed already."""
    for name, value in completion(words, begun).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        GROUP.main(prog_name="sparsedet")
    return capsys.readouterr().out.split()


def completion(words: str, begun: str) -> dict[str, str]:
    """Return the environment in which bash asks what can follow."""
    return {
        "_SPARSEDET_COMPLETE": "complete_bash",
        "COMP_WORDS": f"sparsedet {words} {begun}",
        "COMP_CWORD": str(len(words.split()) + 1),
    }


COMPLETE = """
import sys

from sparsedet.cli.app import main

sys.argv = ["sparsedet"]
try:
    main()
finally:
    print(*({"torch", "detectron2"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "one"),
    [
        ("train --method", "staged"),
        ("train --config", "lite0_fpn"),
        ("split --released", "split1_30p"),
        ("convert --to", "yolo"),
        ("init --tool", "label-studio"),
    ],
)
def test_values_are_completed_without_torch(words: str, one: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env={**os.environ, **completion(words, one[:3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert one in result.stdout.split()
    assert result.stderr.strip() == ""


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("merge", "Use sparsedet review WORKSPACE --merge"),
        ("detect", "Use sparsedet predict"),
        ("rounds", "Did you mean 'round'?"),
    ],
)
def test_an_unknown_command_names_the_one_that_does_it(command: str, hint: str) -> None:
    result = sparsedet_here(command, "workspace")
    assert result.status == 2
    assert f"No such command '{command}'. {hint}" in " ".join(result.err.split())


@pytest.mark.parametrize("name", ["cli", "integrations", "integrations.files"])
def test_folders_of_the_repository_have_one_import_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    folder = name.partition(".")[0]
    with pytest.raises(ImportError, match=rf"^import sparsedet\.{folder}, not {folder}: [^\n]*$"):
        importlib.import_module(name)
    assert folder not in sys.modules
