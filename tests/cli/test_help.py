"""Help: there for every command and option, and instant because nothing heavy is imported."""

import subprocess
import sys
from typing import Any

import pytest
import typer.main

from sparsedet.cli.app import app
from sparsedet.sparsify import recipe_names
from tests.cli.command import sparsedet

HEAVY = ("torch", "detectron2", "numpy", "cv2", "PIL", "yaml", "sqlalchemy", "label_studio_sdk")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


@pytest.mark.parametrize("module", HEAVY)
def test_the_command_line_is_imported_without(module: str) -> None:
    code = f"import sys, sparsedet.cli.app; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_lists_every_command() -> None:
    result = sparsedet("--help")
    assert result.status == 0
    for name in ("pull", "split", "train", "eval", "mine", "push", "review", "doctor"):
        assert name in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


def test_split_names_every_recipe() -> None:
    option = next(param for param in COMMANDS["split"].params if param.name == "recipe")
    for name in recipe_names():
        assert name in getattr(option, "help", "")


def test_no_command_shows_the_help() -> None:
    assert "Usage" in sparsedet().out + sparsedet().err


def test_version() -> None:
    assert sparsedet("--version").out.startswith("sparsedet ")
