"""Curves of completeness against time, and times at given completeness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.atomic_io import read_json, write_json
from sparsedet.reviews import ReviewedRegion
from sparsedet.simulation.truth import TrueObject, missing_objects

MARKS = (0.80, 0.90, 0.95, 0.98)


@dataclass
class Curve:
    """Completeness of a set over the seconds of review."""

    arm: str
    data: str
    drop: float
    seed: int
    objects: int
    """Total number of objects."""
    start: int
    """Objects with a box at the start."""
    seconds: list[float] = field(default_factory=list)
    """Seconds of review at the end of each image."""
    found: list[int] = field(default_factory=list)
    """Objects with a box by then."""
    got_in: int | None = None
    """Number of boxes added by the end; None: not counted."""
    wrong: int | None = None
    """Added boxes that show no object of their class."""

    def add(self, seconds: float, found: int) -> None:
        """Add an image with its review time and number of objects that got a box."""
        before = self.seconds[-1] if self.seconds else 0.0
        boxes = self.found[-1] if self.found else self.start
        self.seconds.append(round(before + seconds, 2))
        self.found.append(boxes + found)

    def seconds_to(self, share: float) -> float | None:
        """Return when a share of the objects had a box; None: never."""
        reached = np.flatnonzero(np.array(self.found) >= share * self.objects - 1e-9)
        return self.seconds[int(reached[0])] if len(reached) else None

    def write(self, folder: Path) -> None:
        """Write the curve into a folder."""
        write_json(self.path(folder, self.data, self.drop, self.seed, self.arm), self.__dict__)

    @staticmethod
    def path(folder: Path, data: str, drop: float, seed: int, arm: str) -> Path:
        """Return the file of a curve."""
        return folder / f"{data}-{drop:g}-s{seed}-{arm}.json"

    @classmethod
    def read(cls, path: Path) -> "Curve":
        """Read a curve."""
        content: dict[str, Any] = read_json(path)
        return cls(**content)


def shown_objects(regions: Sequence[ReviewedRegion], objects: Sequence[TrueObject]) -> int:
    """Return how many objects have a box of their class, matched one to one."""
    return len(objects) - len(missing_objects(regions, objects))


def count_wrong(
    before: Dataset,
    after: Dataset,
    objects: Mapping[str, Sequence[TrueObject]],
    neutral: Mapping[str, Sequence[TrueObject]],
) -> tuple[int, int]:
    """Return the number of added boxes, and of those that show no object of their class.

    Args:
        before: the initial annotations.
        after: the current ones, on images of the same names.
        objects: the true objects, by file name.
        neutral: possible objects without a label.
    """
    earlier = {image.file_name: image.id for image in before.images}
    new = wrong = 0
    for image in after.images:
        name = image.file_name
        now = regions_of(after, image.id)
        new += len(now) - len(before.boxes_by_image[earlier[name]])
        wrong += len(now) - shown_objects(now, [*objects[name], *neutral[name]])
    return new, wrong


def regions_of(dataset: Dataset, image_id: int) -> list[ReviewedRegion]:
    """Return an image's annotations as a reviewer sees them."""
    return [
        ReviewedRegion(f"own-{box.id}", dataset.category_by_id[box.category_id].name, box.xyxy)
        for box in dataset.boxes_by_image[image_id]
    ]
