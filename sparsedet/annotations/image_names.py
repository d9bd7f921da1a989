"""Match the images of two datasets by name.

Annotation tools don't keep file names. They move images into folders of their own and number them:
`images/0001.jpg` and `12-0001.jpg` are both `0001.jpg`. Label Studio prefixes an upload with a
hash, a pull prefixes that with the task's number, and both replace or remove characters other than
letters, digits, `_`, `-` and `.`: `cell (1).jpg` is pulled as `12-1f0c2a9b-cell_1.jpg`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from sparsedet.errors import SparseDetError

_OPENCV = (".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm")
_PILLOW = (".avif", ".gif", ".heic", ".heif", ".hif", ".tif", ".tiff", ".webp")
IMAGE_SUFFIXES = frozenset({*_OPENCV, *_PILLOW})
"""In lower case. HEIC needs a plugin of Pillow, but is not skipped silently."""

_UNSAFE = re.compile(r"[^\w.-]+")
_NUMBERED = re.compile(r"^[0-9]+-(?:[0-9a-f]{8}-)?(?=.)")
"""The prefix added by `sparsedet pull` (the task), and by Label Studio to uploads."""
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""The prefix that Label Studio adds to an upload."""


def without_upload_hash(name: str) -> str:
    """Return a name without folders as it was before Label Studio prefixed it in an upload.

    Names without such a prefix stay unchanged.
    """
    return _UPLOADED.sub("", name)


def original_name(file_name: str, tool_id: str | None) -> str:
    """Return the name under which people know an image, as far as its file name preserves it.

    Only names that a pull prefixed with the task are shortened: `12-1f0c2a9b-cell.jpg` of task 12
    becomes `cell.jpg`, while other names stay unchanged, including their folders.

    Args:
        file_name: as in `Image.file_name`.
        tool_id: as in `Image.tool_id`.
    """
    number = f"{tool_id}-"
    if not (tool_id and tool_id.isdecimal() and file_name.startswith(number)):
        return file_name
    name = file_name.removeprefix(number)
    return without_upload_hash(name) or file_name


def same_images(names: Sequence[str], others: Sequence[str]) -> list[int | None]:
    """Return for every name the row of the same image in `others`; None if there is none.

    Images match by full name, else by the last part, else by the last part without the number that
    a pull adds on one of the two sides. The deciding name has to be unique on both sides; no two
    names get the same row.
    """
    rows = {name: row for row, name in enumerate(others)}
    found = [rows.get(name) for name in names]
    if None not in found:
        return found
    ours, theirs = [_last_part(name) for name in names], [_last_part(name) for name in others]
    bare = [_NUMBERED.sub("", name) for name in ours]
    for keys, other_keys in (
        (ours, theirs),
        (bare, theirs),
        (ours, [_NUMBERED.sub("", name) for name in theirs]),
    ):
        _fill(found, keys, other_keys)
    return found


def _fill(found: list[int | None], keys: Sequence[str], others: Sequence[str]) -> None:
    """Give names without a row the free row with the same key."""
    waiting = [row for row, other in enumerate(found) if other is None]
    taken = {other for other in found if other is not None}
    repeated, repeated_there = _repeated(keys), _repeated(others)
    rows = {key: row for row, key in enumerate(others) if key not in repeated_there}
    for row in waiting:
        other = None if keys[row] in repeated else rows.get(keys[row])
        if other is not None and other not in taken:
            found[row] = other


def _repeated(keys: Sequence[str]) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}


def _last_part(name: str) -> str:
    return PurePosixPath(name).name


def match_file_names(pulled: Iterable[str], truth: Iterable[str]) -> Mapping[str, str]:
    """Return the name in `truth` of every name in `pulled`.

    An identical name takes precedence, then the same name without folders, then the longest
    remaining name, without folders and made safe, after a `-` at the end of the pulled one.

    Raises:
        SparseDetError: naming the first pulled image that matches none or several images of the
            full annotations, or the same one as another.
    """
    names = list(truth)
    exact = {name: {name} for name in names}
    by_base: dict[str, set[str]] = defaultdict(set)
    by_safe_name: dict[str, set[str]] = defaultdict(set)
    for name in names:
        base = PurePosixPath(name).name
        by_base[base].add(name)
        for safe in _safe_names(base):
            by_safe_name[safe].add(name)
    matched: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in pulled:
        base = PurePosixPath(name).name
        endings = (by_safe_name.get(ending) for ending in _endings(base))
        candidates = exact.get(name) or by_base.get(base) or next(filter(None, endings), set())
        if not candidates:
            raise SparseDetError(
                f"image {name}: no image of that name in the full annotations; do they cover the "
                "same images?"
            )
        if len(candidates) > 1:
            raise SparseDetError(
                f"image {name}: ambiguous in the full annotations: it may be "
                f"{' or '.join(sorted(candidates))}"
            )
        (found,) = candidates
        if (other := taken.setdefault(found, name)) != name:
            raise SparseDetError(
                f"image {name}: matches {found} of the full annotations, and so does {other}"
            )
        matched[name] = found
    return matched


def _safe_names(base: str) -> set[str]:
    """Return a file name as tools change it: unsafe characters replaced or removed."""
    replaced = _UNSAFE.sub("_", base)
    taken_out = _UNSAFE.sub("", base.strip().replace(" ", "_"))
    return {safe for form in (replaced, taken_out) for safe in (form, form.strip("._")) if safe}


def _endings(base: str) -> Iterator[str]:
    """Yield the text after each `-` of a name, the longest first."""
    for dash in re.finditer("-", base):
        yield base[dash.end() :]
