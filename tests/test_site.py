"""Input of the site: valid links, and all commands."""

from pathlib import Path

import pytest

from docs.generate.command_line import as_markdown, commands_page
from docs.generate.links import ROOT_PAGES, rewrite
from docs.generate.site_source import write_site_source
from tests.pages import ROOT

HOME = "https://example.com/us/sparsedet/"


@pytest.mark.parametrize(
    ("folder", "link", "expected"),
    [
        ("docs", "rounds.md#when-to-stop", "rounds.md#when-to-stop"),
        ("docs", "../README.md#quick-start", "index.md#quick-start"),
        ("docs", "../benchmarks/results/a.jpg", "benchmarks/results/a.jpg"),
        ("docs", "../benchmarks/results/a.md", f"{HOME}blob/main/benchmarks/results/a.md"),
        ("docs", "#here", "#here"),
        ("docs", "https://example.com/a.md", "https://example.com/a.md"),
        ("", "docs/data.md", "data.md"),
        ("", "SECURITY.md", "security.md"),
        ("", "LICENSE", f"{HOME}blob/main/LICENSE"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(
    folder: str, link: str, expected: str
) -> None:
    text, pictures = rewrite(f"a [b]({link}) c", folder, HOME)
    assert text == f"a [b]({expected}) c"
    assert pictures == ({expected} if link.endswith(".jpg") else set())


def test_code_is_left_alone() -> None:
    page = "`[a](LICENSE)`\n\n```md\n[a](LICENSE)\n```\n"
    assert rewrite(page, "", HOME) == (page, set())


def test_every_command_is_on_its_page_with_its_options() -> None:
    page = commands_page()
    for name in ("doctor", "round", "inspect", "train", "predict"):
        assert f"\n### sparsedet {name}\n" in page
    section = page.split("### sparsedet round\n")[1].split("\n### ")[0]
    assert section.startswith("\n```text\nsparsedet round [OPTIONS] [WORKSPACE]\n```\n")
    assert "| Training in this round only | |" in section
    assert "| `--budget <text>` | Limit the round's queue of images" in section


def test_help_is_shown_as_it_stands() -> None:
    assert as_markdown("a <b> *c* `<d>` [e]") == r"a \<b> \*c\* `<d>` \[e\]"


def test_the_site_has_every_page_with_its_pictures(tmp_path: Path) -> None:
    write_site_source(tmp_path / "site", HOME)
    pages = {page.name for page in (tmp_path / "site").iterdir() if page.suffix == ".md"}
    assert pages == {*ROOT_PAGES.values(), *(page.name for page in (ROOT / "docs").glob("*.md"))}
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert {line.rpartition(": ")[2] for line in nav.splitlines() if ".md" in line} == pages
    assert (tmp_path / "site/benchmarks/results/demo/picture.jpg").is_file()
    assert "### sparsedet round" in (tmp_path / "site/command-line.md").read_text()
    index = (tmp_path / "site/index.md").read_text()
    assert "](quick-start.md#without-label-studio)" in index
