"""Images from one folder into another, without copying their bytes where that is possible."""

import filecmp
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sparsedet.atomic_io import atomic_path
from sparsedet.tool import Progress, no_progress


def link_images(
    names: Iterable[str], source: Path, target: Path, progress: Progress = no_progress
) -> None:
    """Put the images `names` of the folder `source` into the folder `target`.

    What is there already with the same content stays; an image that was replaced in `source` is
    replaced.

    Args:
        names: relative to both folders, with forward slashes.
        source: the folder that holds them.
        target: made when it does not exist.
        progress: called after every image.
    """
    wanted = list(names)
    target.mkdir(parents=True, exist_ok=True)
    progress("linking images", 0, len(wanted))
    for done, name in enumerate(wanted, start=1):
        if not (target / name).exists() or not filecmp.cmp(source / name, target / name):
            _link(source / name, target / name)
        progress("linking images", done, len(wanted))


def _link(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)  # of a crashed process that had the same number
        try:
            os.link(source.resolve(), temporary)  # resolved: a link to a symbolic link may dangle
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, temporary)  # with its time, so that the next comparison is quick
