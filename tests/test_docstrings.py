"""Docstrings name the parameters that functions have, one per line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for folder in ("sparsedet", "cli", "integrations")
    for path in ROOT.glob(f"{folder}/**/*.py")
]
_END = re.compile(r"^(Returns|Raises|Yields):$", re.MULTILINE)
_NAMES = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*): ", re.MULTILINE)


def functions() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Every function whose docstring has a list of arguments, with that list."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and "\nArgs:\n" in (ast.get_docstring(node) or ""):
                text = ast.get_docstring(node) or ""
                yield path, node, _END.split(text.split("\nArgs:\n")[1])[0]


def test_documented_arguments_are_parameters() -> None:
    wrong = []
    for path, node, listed in functions():
        given = node.args
        known = {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
        known |= {one.arg for one in (given.vararg, given.kwarg) if one is not None}
        named = {name.strip("* ") for line in _NAMES.findall(listed) for name in line.split(",")}
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        wrong += [f"{place}: no parameter {name}" for name in sorted(named - known)]
        # Two entries that were joined into one paragraph.
        wrong += [
            f"{place}: {name} does not begin a line"
            for name in sorted(known - named)
            if re.search(rf"\S[.;] {name}: ", listed)
        ]
    assert not wrong, "\n".join(wrong)
