"""Check that a workspace's images exist, can be read, and are unchanged."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sparsedet.annotations import Image, file_digest, read_image, upright_size
from sparsedet.annotations.image_index import IndexedImage, index_file, read_index
from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, LostAndFound, one_line
from sparsedet.errors import AnnotationError, SparseDetError

_ENDS = {b"\x89PNG": b"IEND", b"\xff\xd8": b"\xff\xd9"}
"""Leading bytes of a format -> its trailing bytes."""
_TAIL = 64
"""Number of trailing bytes to look at."""
_MANY = 50
"""Images between two progress reports."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image used by annotations."""

    image: Image
    annotations: str
    """The annotation file that uses it."""


def check_annotations(checked: Checked) -> Iterator[Finding]:
    """Check that `annotations.json` can be read, once something was pulled."""
    from sparsedet.annotations import read_coco

    file = checked.workspace.annotations
    if not file.exists():
        pulled = any(folder.annotations.exists() for folder in checked.rounds)
        if pulled or any(checked.workspace.images.glob("*")):
            yield Finding(
                "annotations-missing", checked.name(file), "missing", checked.command.pull
            )
        return
    try:
        read_coco(file)
    except (SparseDetError, OSError) as error:
        yield Finding(
            "annotations-broken",
            checked.name(file),
            one_line(error, file),
            checked.command.pull,
            repair=partial(_set_aside, file),
        )


def check_images(checked: Checked) -> Iterator[Finding]:
    """Check every image of the newest annotations, and find unused files.

    By default checks the size and header of each file; with `read_data` also decodes it completely
    and compares it with the image cache.
    """
    wanted = _wanted(checked)
    folder = checked.workspace.images
    known = read_index(index_file(checked.workspace.images))
    what = "reading images" if checked.read_data else "checking images"
    with ThreadPoolExecutor(_threads()) as pool:
        look = partial(_problem, folder, known, read_data=checked.read_data)
        for done, (one, problem) in enumerate(
            zip(wanted.values(), pool.map(look, wanted.values()), strict=True)
        ):
            if done % _MANY == 0:
                checked.progress(what, done, len(wanted))
            if problem is not None:
                yield _finding(checked, one, *problem)
    checked.progress(what, len(wanted), len(wanted))
    yield from _unused(checked, wanted)


def _wanted(checked: Checked) -> dict[str, _Wanted]:
    """Return the images needed now, by file name: the pull's, and the open round's."""
    datasets = [(checked.name(checked.workspace.annotations), checked.annotations)]
    for folder in checked.rounds[-1:]:
        if not folder.push.exists():
            datasets.insert(
                0, (checked.name(folder.annotations), checked.round_annotations(folder))
            )
    return {
        image.file_name: _Wanted(image, name)
        for name, dataset in datasets
        for image in (dataset.images if dataset else ())
    }


def _problem(
    folder: Path, known: Mapping[str, IndexedImage], one: _Wanted, *, read_data: bool
) -> tuple[str, str] | None:
    """Return kind and description of an image's problem; None: it has none."""
    image = one.image
    path = folder / image.file_name
    try:
        size, bytes_there = upright_size(path), path.stat().st_size
    except AnnotationError as error:
        if not path.exists():
            return "image-missing", "missing"
        return "image-broken", one_line(error, path).partition("; repair it")[0]
    except OSError as error:
        return "image-broken", f"can't be read ({error.strerror})"
    content = known.get(image.file_name)
    if content is not None and content.bytes != bytes_there:
        return (
            "image-changed",
            f"has {bytes_there} bytes, had {content.bytes} when it was pulled",
        )
    if size != (image.width, image.height):
        there = f"{size[0]} x {size[1]} pixels"
        return "image-size", f"has {there}, {one.annotations} says {image.width} x {image.height}"
    if not read_data:
        return _decoding_problem(image, folder) if _seems_cut_off(path) else None
    if content is not None and file_digest(path) != content.sha256:
        return "image-changed", "content has changed since it was pulled"
    return _decoding_problem(image, folder)


def _seems_cut_off(path: Path) -> bool:
    """Whether a file lacks its format's trailing bytes; decoding shows whether it is broken.

    Some cameras write more after the end.
    """
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(max(path.stat().st_size - _TAIL, 0))
        tail = file.read()
    return any(head.startswith(start) and end not in tail for start, end in _ENDS.items())


def _decoding_problem(image: Image, folder: Path) -> tuple[str, str] | None:
    """Return the problem with an image's pixels, if any."""
    import PIL.Image

    path = folder / image.file_name
    try:
        # OpenCV, which training uses, silently fills missing parts with grey.
        # Some TIFFs, such as colours as floats, are read by OpenCV only.
        with suppress(PIL.UnidentifiedImageError), PIL.Image.open(path) as opened:
            opened.load()
        read_image(image, folder)
    except AnnotationError as error:
        return "image-broken", str(error).removeprefix(f"image id {image.id}: {path}: ")
    except Exception as error:
        # Parsers of broken files may raise anything.
        return "image-broken", f"can't be decoded ({error})"
    return None


def _finding(checked: Checked, one: _Wanted, kind: str, what: str) -> Finding:
    path = checked.workspace.images / one.image.file_name
    return Finding(
        kind,
        checked.name(path),
        what,
        checked.command.pull,
        repair=partial(_set_aside, path) if kind != "image-missing" else None,
    )


def _unused(checked: Checked, wanted: Iterable[str]) -> Iterator[Finding]:
    """Find files in the image folder that no annotations use, not even an older round's."""
    named = set(wanted)
    for folder in checked.rounds:
        dataset = checked.round_annotations(folder)
        named |= {image.file_name for image in dataset.images} if dataset else set()
    if not named:
        return  # without annotations, all files would be unused
    root = checked.workspace.images
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        name = path.relative_to(root).as_posix()
        if path.is_file() and name not in named and not path.name.startswith("."):
            yield Finding(
                "image-unused", checked.name(path), "not used by any annotation", severity="info"
            )


def _set_aside(path: Path, lost: LostAndFound) -> str:
    lost.take(path)
    return f"{path.name} set aside, so that the next pull fetches it"


def _threads() -> int:
    return min(8, os.cpu_count() or 1)
