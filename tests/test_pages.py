"""Files, commands, figures and errors in the README and the manual exist."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from sparsedet.cli.app import app
from tests.pages import MANUAL, PAGES, README, ROOT, anchors, blocks, inline_code, links, prose

GROUP: Any = typer.main.get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
TESTS = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
OTHER_PROGRAMS = ("pip", "export")
"""What unmarked blocks may start a line with, as well as `make` and `sparsedet`."""


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_nothing_waits_to_be_filled_in(page: Path) -> None:
    text = re.sub(r"\]\([^)]*\)", "", prose(page))
    assert not re.search(r"TODO|XXX|\{\{|[A-Z]+_[A-Z]+", text)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_link_and_picture_is_there(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}
    written_out_elsewhere = {ROOT / "docs/python-reference.md"}
    assert {*PAGES} - linked - written_out_elsewhere == {README}


def test_every_marked_block_has_a_name_of_its_own_and_a_test() -> None:
    names = [name for page in MANUAL for name, _, _ in blocks(page) if name]
    assert len(names) > 15
    assert len(set(names)) == len(names), names
    for name in names:
        assert re.search(rf'(?:commands|block)\("{name}"', TESTS), f"no test runs the block {name}"


def test_blocks_that_are_not_run_hold_commands_that_exist() -> None:
    """What installs, starts servers or runs for an hour."""
    found = [
        line
        for page in PAGES
        for name, language, content in blocks(page)
        if language == "sh" and not name
        for line in content.splitlines()
    ]
    assert len(found) > 10
    for line in found:
        program, *words = shlex.split(line, comments=True)
        if program == "sparsedet":
            GROUP.commands[words[0]].make_context(words[0], words[1:])
        elif program == "make":
            assert words[0] in TARGETS, line
        else:
            assert program in OTHER_PROGRAMS, line


def test_commands_in_the_text_have_their_options() -> None:
    found = [code.split() for page in PAGES for code in inline_code(page)]
    typed = [words[1:] for words in found if words[0] == "sparsedet" and len(words) > 1]
    assert len(typed) > 30
    for name, *words in typed:
        if name == "COMMAND" or name.startswith("-"):
            continue
        parameters = GROUP.commands[name].params
        options = {option for parameter in parameters for option in parameter.opts}
        given = {word for word in words if word.startswith("-")} - {"-h"}
        assert given <= options, (name, given - options)


def test_options_in_the_text_are_those_of_some_command() -> None:
    commands = [GROUP, *GROUP.commands.values()]
    options = {option for one in commands for parameter in one.params for option in parameter.opts}
    scripts = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("benchmarks/**/*.py"))
    written = {code.split()[0] for page in MANUAL for code in inline_code(page) if code[:2] == "--"}
    assert len(written) > 20
    assert {option for option in written - options if f'"{option}"' not in scripts} == set()


def rows(page: Path, head: str) -> dict[str, list[str]]:
    """Return the rows of a page's table whose head starts so, by their first column."""
    text = page.read_text(encoding="utf-8")
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return {name: figures for name, *figures in cells}


def test_the_results_of_the_readme_are_those_of_the_benchmarks() -> None:
    head = "| boxes removed | plain | augmented | staged"
    all_figures = rows(ROOT / "docs/benchmarks.md", head)
    shown = rows(README, head)
    assert len(shown) >= 4
    for name, (*methods, difference) in shown.items():
        assert all_figures[name][:3] == methods
        assert all_figures[name][3] == f"{difference} (3)"


@cache
def texts_of_the_code() -> str:
    """Return all texts in the code, each on a line; those of f-strings in pieces."""
    texts = []
    for folder in ("sparsedet", "cli", "integrations"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


def test_every_error_of_the_manual_is_one_of_the_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) > 40
    for message in quoted:
        pieces = [piece.strip(" ();:,") for piece in message.split("…")]
        missing = [piece for piece in pieces if piece and piece not in texts_of_the_code()]
        assert not missing, (message, missing)


def workflow(name: str) -> Any:
    # YAML 1.1 takes the key `on` for a truth value.
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["tests", "docs", "release"])
def test_workflows_call_what_exists(name: str) -> None:
    steps = [step for job in workflow(name)["jobs"].values() for step in job["steps"]]
    runs = [step.get("run", "") for step in steps]
    assert {target for run in runs for target in re.findall(r"\bmake ([a-z-]+)", run)} <= TARGETS
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.search(r"@(release/)?v\d", action) for action in used), used


def test_pictures_of_browser_tests_are_kept() -> None:
    steps = workflow("tests")["jobs"]["test"]["steps"]
    kept = [step["with"]["path"] for step in steps if "upload-artifact" in step.get("uses", "")]
    assert kept == ["artifacts/*.png"]


def test_issue_forms_can_be_read() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for form in forms:
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.name == "config.yml" or {"name", "description", "body"} <= content.keys()
