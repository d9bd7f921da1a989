"""Parses a page as a browser would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Page(HTMLParser):
    """The parts of a page; reading it fails where tags are not closed in order."""

    path: Path
    texts: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    images: list[dict[str, str]] = field(default_factory=list)
    """The attributes of each `<img>`."""
    links: list[dict[str, str]] = field(default_factory=list)
    """The attributes of each `<a>`."""
    ids: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    """Id of a table -> rows of cells."""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self.feed(self.path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """All text, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.images.append(values)
        if tag == "a":
            self.links.append(values)
        if tag == "table":
            self._rows = self.tables.setdefault(values["id"], [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("th", "td"):
            self._rows[-1].append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)
        if self._open and self._open[-1] in ("th", "td"):
            self._rows[-1][-1] += data.strip()
