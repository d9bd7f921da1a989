"""Which pulled image is which image of the full annotations, by file name.

Annotation tools don't keep file names. Label Studio puts a hash before the name of an upload, a
pull puts the task's number before that, and both replace or take out what is neither letter, digit,
`_`, `-` nor `.`: `cell (1).jpg` is pulled as `12-1f0c2a9b-cell_1.jpg`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from sparsedet.errors import SparseDetError

_UNSAFE = re.compile(r"[^\w.-]+")


def match_file_names(pulled: Iterable[str], truth: Iterable[str]) -> Mapping[str, str]:
    """Return the name in `truth` of every name in `pulled`.

    The same name counts first, then the same name without folders, then the longest name that
    stands, without folders and made safe, behind a `-` at the end of the pulled one.

    Raises:
        SparseDetError: naming the first pulled image that fits none or several images of the full
            annotations, or the same one as another.
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
                f"image {name}: the full annotations have no image of that name; are they of the "
                "same images?"
            )
        if len(candidates) > 1:
            raise SparseDetError(
                f"image {name}: which image of the full annotations is it? It may be "
                f"{' or '.join(sorted(candidates))}"
            )
        (found,) = candidates
        if (other := taken.setdefault(found, name)) != name:
            raise SparseDetError(
                f"image {name}: {found} of the full annotations fits it and {other} as well"
            )
        matched[name] = found
    return matched


def _safe_names(base: str) -> set[str]:
    """Return what tools make of a file name: unsafe characters replaced, or taken out."""
    replaced = _UNSAFE.sub("_", base)
    taken_out = _UNSAFE.sub("", base.strip().replace(" ", "_"))
    return {safe for form in (replaced, taken_out) for safe in (form, form.strip("._")) if safe}


def _endings(base: str) -> Iterator[str]:
    """Yield what stands behind each `-` of a name, the longest first."""
    for dash in re.finditer("-", base):
        yield base[dash.end() :]
