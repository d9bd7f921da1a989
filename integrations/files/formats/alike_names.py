"""Files whose names on disk differ from those in annotations in case or Unicode form only.

To Windows and macOS, `IMG_1.JPG` and `img_1.jpg` are one name; macOS and some archives write `é` as
two characters. On Linux, data from there has names that no file has.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from sparsedet.wording import counted

from .once import warn_once


def alike(name: str) -> str:
    """Return a key that is the same for names that differ in case or Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def only(names: Iterable[str]) -> dict[str, str]:
    """Return names by `alike`, without those that are alike."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[alike(name)].append(name)
    return {key: same[0] for key, same in found.items() if len(same) == 1}


class AlikeFiles:
    """The files below a folder, by names that they are alike to; folders are listed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, Mapping[str, list[str]]] = {}

    def find(self, name: str, *, folders: bool = False) -> str | None:
        """Return the one file that a relative path is alike to; None if there is none, or several.

        Args:
            name: with forward slashes; must not leave the folder.
            folders: whether it may also be a folder.
        """
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        places = [""]
        for part in parts:
            key = alike(part)
            places = [
                f"{place}{entry}/" for place in places for entry in self._inside(place).get(key, ())
            ]
        found = [place[:-1] for place in places if folders or (self._folder / place[:-1]).is_file()]
        return found[0] if len(found) == 1 else None

    def _inside(self, place: str) -> Mapping[str, list[str]]:
        if place not in self._entries:
            entries: dict[str, list[str]] = defaultdict(list)
            try:
                for path in (self._folder / place).iterdir():
                    entries[alike(path.name)].append(path.name)
            except OSError:  # a file, or a folder of somebody else
                entries.clear()
            self._entries[place] = entries
        return self._entries[place]


def note_alike(folder: Path, pairs: Mapping[str, str]) -> None:
    """Log one warning for the files that were found under other names.

    Args:
        folder: where they are.
        pairs: name in annotations -> name on disk.
    """
    if pairs:
        said, found = next(iter(pairs.items()))
        said, found = (ascii(PurePosixPath(name).name) for name in (said, found))
        warn_once(
            f"{folder}: {counted(len(pairs), 'file name differs', 'file names differ')} from the "
            f"annotations in case or Unicode form only (first: {said} is {found} here); used these "
            "files"
        )
