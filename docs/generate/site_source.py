"""Write the pages of the site, for mkdocs or any other generator that reads Markdown.

    python -m docs.generate.site_source build/docs-source

The pages in `docs/` and at the repository's root work on GitHub. The site has them in one folder,
with rewritten links, their pictures, and the list of all commands.
"""

import shutil
import sys
from pathlib import Path

import yaml

from docs.generate.command_line import commands_page
from docs.generate.links import ROOT_PAGES, rewrite

ROOT = Path(__file__).parents[2]
COMMANDS = "<!-- commands -->"
"""Marks where to insert the page of commands; the rest of the file is for its readers."""


def write_site_source(folder: Path, repository: str) -> None:
    """Write all pages and their pictures.

    Args:
        folder: created, or replaced if it exists.
        repository: URL of the repository, for links to files that are not pages.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {name: (ROOT / name, "") for name in ROOT_PAGES}
    pages |= {path.name: (path, "docs") for path in sorted((ROOT / "docs").glob("*.md"))}
    for name, (path, place) in pages.items():
        text, pictures = rewrite(path.read_text(encoding="utf-8"), place, repository)
        before, marker, _note = text.partition(COMMANDS)
        (folder / ROOT_PAGES.get(name, name)).write_text(
            before + commands_page() if marker else text, encoding="utf-8"
        )
        for picture in pictures:
            (folder / picture).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / picture, folder / picture)


if __name__ == "__main__":
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    write_site_source(Path(sys.argv[1]), settings["repo_url"])
