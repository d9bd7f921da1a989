"""Groups of related images: frames of a video, pictures of a patient, a folder."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from sparsedet.annotations import Image
from sparsedet.errors import SparseDetError


@dataclass(frozen=True, slots=True)
class GroupBy:
    """What images of a group have in common."""

    kind: Literal["folder", "key", "regex"]
    value: str = ""
    """The key, or the regular expression."""

    @classmethod
    def parse(cls, text: str) -> "GroupBy":
        """Parse `folder`, `key:NAME` or `regex:PATTERN`.

        Raises:
            SparseDetError: when it is none of them, or the pattern is not a regular expression.
        """
        kind, _, value = text.partition(":")
        if text == "folder":
            return cls("folder")
        if kind == "key" and value:
            return cls("key", value)
        if kind == "regex" and value:
            try:
                re.compile(value)
            except re.error as error:
                raise SparseDetError(
                    f"can't group images by {text!r}: not a regular expression ({error})"
                ) from error
            return cls("regex", value)
        raise SparseDetError(
            f"can't group images by {text!r}: expected folder, key:NAME (a key of the images' "
            "entries) or regex:PATTERN (on file names; its first group names the images' group)"
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind

    def names(self, images: Iterable[Image]) -> dict[int, str]:
        """Return the name of every image's group, by image id.

        Raises:
            SparseDetError: when images have no group; otherwise related ones could be separated.
        """
        found: dict[int, str] = {}
        without: list[str] = []
        for image in images:
            if (name := self._name(image)) is None:
                without.append(image.file_name)
            else:
                found[image.id] = name
        if without:
            raise SparseDetError(
                f"{len(without)} of {len(without) + len(found)} images have no group by {self} "
                f"(first: {min(without)}); every image needs one"
            )
        return found

    def _name(self, image: Image) -> str | None:
        if self.kind == "folder":
            return str(PurePosixPath(image.file_name).parent)
        if self.kind == "key":
            value = image.extra.get(self.value)
            usable = isinstance(value, str | int | float) and value == value and value != ""
            return str(value) if usable else None
        match = re.search(self.value, image.file_name)
        # Without a capturing group, the whole match is the name.
        return (match[1 if match.re.groups else 0] or None) if match else None


def representatives(items: Sequence[str], together: Iterable[Iterable[str]]) -> Mapping[str, str]:
    """Return a representative of every item, the same for connected ones (union-find).

    Args:
        items: All items, each once.
        together: Sets of items that belong together. Sets that share an item are connected.

    Returns:
        The smallest item connected to each item, regardless of the arguments' order.
    """
    parents = {item: item for item in items}

    def root(item: str) -> str:
        while (parent := parents[item]) != item:
            # Path halving keeps chains short for the next search.
            parents[item] = item = parents[parent]
        return item

    for members in together:
        first: str | None = None
        for member in members:
            if first is None:
                first = root(member)
                continue
            other = root(member)
            if other != first:
                first, larger = sorted((first, other))
                parents[larger] = first
    return {item: root(item) for item in items}


def sets_of(names: Mapping[str, Hashable]) -> list[list[str]]:
    """Return the sets of items that have the same value, each sorted."""
    sets: dict[Hashable, list[str]] = {}
    for item in sorted(names):
        sets.setdefault(names[item], []).append(item)
    return list(sets.values())
