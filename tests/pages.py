"""The README and the manual: their executable blocks, and their links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MANUAL = [README, *sorted((ROOT / "docs").glob("*.md"))]
"""Pages whose blocks are run."""

PAGES = [*MANUAL, *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "SECURITY"))]
"""Pages whose links are checked."""

_BLOCK = re.compile(r"(?:<!-- ([a-z ]+) -->\n)?^```([a-z]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return the blocks of a page: the name that a mark gives it or "", language, content."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def block(name: str, language: str) -> str:
    """Return the content of the block that a page marks `name`."""
    every = [found for page in MANUAL for found in blocks(page)]
    found = [content for *key, content in every if key == [name, language]]
    assert len(found) == 1, f"{len(found)} {language} blocks are called {name!r}, in all pages"
    return found[0]


def commands(name: str) -> list[list[str]]:
    """Return the words of each `sparsedet` command in the block that a page marks `name`."""
    lines = [shlex.split(line, comments=True) for line in block(name, "sh").splitlines()]
    assert all(words[0] == "sparsedet" for words in lines)
    return [words[1:] for words in lines]


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures, but for those on other hosts."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", line.lower()).replace(" ", "-") for line in headings}


def without_blocks(page: Path) -> str:
    """Return a page's text without its blocks of code."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """Return what stands between backticks, with its line breaks as spaces."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", without_blocks(page))]


def prose(page: Path) -> str:
    """Return a page's text without any code."""
    return re.sub(r"`[^`]*`", "", without_blocks(page))
