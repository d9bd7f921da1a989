"""Keeps how a JSON file is laid out, so that a merge changes only the lines of its boxes."""

import json
import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Any

_INDENTED = re.compile(rb'\A\s*\{\s*?\n([ \t]+)"')
_BOX_IN_LINES = re.compile(rb'"bbox"\s*:\s*\[\s*\n')
"""A box as `json.dump` indents it; other tools write its four numbers in one line."""
_COMPACT = re.compile(rb'\A\s*\{"[^"]*":\S')


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """The whitespace and the escapes of a file that `json.dump` or the like has written."""

    indent: str | None
    compact: bool
    """Without spaces after commas and colons."""
    escaped: bool
    """Whether letters outside of ASCII are written as `\\u00fc`."""
    newline: str
    ends_with_newline: bool

    @classmethod
    def of(cls, data: bytes) -> "JsonStyle":
        """Return the style of a file's content."""
        data = data.removeprefix(BOM_UTF8)
        indented = _INDENTED.match(data)
        has_lines = _BOX_IN_LINES.search(data) is not None or b'"bbox"' not in data
        return cls(
            indent=indented[1].decode() if indented and has_lines else None,
            compact=_COMPACT.match(data) is not None,
            escaped=data.isascii() and b"\\u" in data,
            newline="\r\n" if b"\r\n" in data else "\n",
            ends_with_newline=data.endswith(b"\n"),
        )

    def encode(self, content: Any) -> bytes:
        """Return content as the bytes of a file in this style."""
        text = self._text(content, self.escaped)
        try:
            return text.encode()
        except UnicodeEncodeError:  # lone surrogates in unknown keys
            return self._text(content, True).encode()

    def _text(self, content: Any, escaped: bool) -> str:
        separators = (",", ":") if self.compact else None
        text = json.dumps(
            content, ensure_ascii=escaped, indent=self.indent, separators=separators
        ) + ("\n" if self.ends_with_newline else "")
        return text if self.newline == "\n" else text.replace("\n", self.newline)
