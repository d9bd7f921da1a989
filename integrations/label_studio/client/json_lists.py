"""Long JSON lists, read entry by entry: as objects they take several times the memory of text."""

import codecs
import re
from collections.abc import Iterator
from typing import Any

from .answers import (
    after_space,
    has_halves,
    json_errors,
    value_at,
    whole_characters,
    with_spare_frames,
)

_PIECE = 1 << 20
"""Bytes to decode at a time."""
_BEHIND = tuple(" \t\n\r,]")
"""What follows an entry."""
_BEGINNING = re.compile(rb"(\xef\xbb\xbf)?[ \t\n\r]*\[")


def begins_list(body: bytes) -> bool:
    """Whether a body, if it is JSON, is a list."""
    return _BEGINNING.match(body) is not None


def entries(body: bytes) -> Iterator[Any]:
    """Yield the entries of a JSON list, parsed as by `parse_json`, only some at a time.

    Raises:
        NoJsonError: if it is not a list; entries may have been yielded before.
    """
    text = _List(body)
    with json_errors():
        # Stack frames are reserved once per chunk: per entry, that would take half of the time.
        while some := with_spare_frames(text.some):
            yield from map(whole_characters, some) if text.has_halves else some


class _List:
    """A JSON list, decoded in chunks as it is read."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._pieces = 0
        self._text = ""
        self._at = 0
        self._is_begun = False
        self._is_done = False
        self.has_halves = False
        """Whether the decoded text may contain surrogates."""

    def some(self) -> list[Any]:
        """Consume and return about a chunk of entries; none at the end."""
        values: list[Any] = []
        before = self._pieces
        while (not values or self._pieces == before) and self._step():
            values.append(self._value())
        return values

    def _step(self) -> bool:
        """Advance to the next entry; False if there is none."""
        if self._is_done:
            return False
        if not self._is_begun:
            self._take("[")
            self._is_begun = True
            if self._ahead() != "]":
                return True
        elif self._ahead() == ",":
            self._take(",")
            return True
        self._take("]")
        self._is_done = True
        if self._ahead():
            raise ValueError("more than a list")
        return False

    def _ahead(self) -> str:
        """Return the next character that is not whitespace; empty at the end."""
        while True:
            self._at = after_space(self._text, self._at)
            if self._at < len(self._text) or not self._decode_more():
                return self._text[self._at : self._at + 1]

    def _take(self, expected: str) -> None:
        """Consume an expected character."""
        if self._ahead() != expected:
            raise ValueError(f"expected {expected!r}")
        self._at += 1

    def _value(self) -> Any:
        """Consume and return a value."""
        self._ahead()
        while True:
            try:
                value, end = value_at(self._text, self._at)
            except ValueError:
                if not self._decode_more():
                    raise
                continue
            # A number may continue in the next chunk.
            if self._text[end : end + 1] in _BEHIND or not self._decode_more():
                self._at = end
                return value

    def _decode_more(self) -> bool:
        """Decode the next chunk, and drop what was consumed; False if there is none.

        A chunk is as long as the unconsumed rest: however long an entry is, failed attempts to
        parse it take no longer in total than the last one.
        """
        left = self._text[self._at :]
        piece = self._body[self._read : self._read + max(_PIECE, len(left))]
        if not piece:
            return False
        self._read += len(piece)
        self._pieces += 1
        self._text = left + self._decoder.decode(piece, final=self._read == len(self._body))
        self._at = 0
        self.has_halves = self.has_halves or has_halves(self._text)
        return True
