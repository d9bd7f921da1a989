"""The page of all commands, generated from the Typer app: the output of `-h` as Markdown."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from sparsedet.cli.app import app, help_panels


def commands_page() -> str:
    """Return the sections of all commands as Markdown, grouped as in `sparsedet -h`."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("sparsedet", [], resilient_parsing=True)
    parts: list[str] = []
    panel = None
    for name, command in group.commands.items():
        if command.rich_help_panel != panel:
            panel = command.rich_help_panel
            parts.append(f"## {panel}")
        inner = typer.Context(command, parent=context, info_name=name)
        parts.extend(_section(command, inner))
    return "\n\n".join(parts) + "\n"


def _section(command: Any, context: typer.Context) -> Iterator[str]:
    """Yield the parts of a command's section: usage, description, a table per panel."""
    yield f"### sparsedet {context.info_name}"
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield from (as_markdown(" ".join(text.split())) for text in command.help.split("\n\n"))
    for panel, records in help_panels(command, context).items():
        rows = [f"| `{_cell(names)}` | {_cell(as_markdown(says))} |" for names, says in records]
        yield "\n".join([f"| {panel} | |", "|---|---|", *rows])


def as_markdown(text: str) -> str:
    """Escape Markdown markup, except in code between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", part) for part in parts
    )


def _cell(text: str) -> str:
    """Escape vertical bars, which would end the cell even in code."""
    return " ".join(text.split()).replace("|", r"\|")
