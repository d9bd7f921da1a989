"""Rewrites links of pages, which work on GitHub, for the site."""

import posixpath
import re

ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository's root -> pages of the site made from them."""

PICTURES = (".jpg", ".png")


def rewrite(markdown: str, folder: str, repository: str) -> tuple[str, set[str]]:
    """Rewrite the relative links of a page.

    Args:
        markdown: the page.
        folder: its folder, relative to the repository's root: "docs", or "" for the root.
        repository: URL of the repository, for links to files other than pages and pictures.

    Returns:
        The page for the site's root, and its pictures, relative to the repository's root; the site
        has them under the same path.
    """
    pictures: set[str] = set()

    def replace(found: re.Match[str]) -> str:
        path, hash, anchor = found[1].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        target = posixpath.normpath(posixpath.join(folder, path))
        if target.endswith(PICTURES):
            pictures.add(target)
            return f"]({target})"
        if target in ROOT_PAGES:
            return f"]({ROOT_PAGES[target]}{hash}{anchor})"
        if target.startswith("docs/"):
            return f"]({target.removeprefix('docs/')}{hash}{anchor})"
        return f"]({repository.rstrip('/')}/blob/main/{target}{hash}{anchor})"

    # Skip code; a link never contains a blank line.
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [re.sub(r"\]\(([^)\s]+)\)", replace, part) for part in parts[::2]]
    return "".join(parts), pictures
