"""Plant faults among a dataset's annotations, and record them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.seeds import stable_rank

SHARES: Mapping[str, float] = {"class": 0.05, "place": 0.05, "double": 0.03}
"""Share of boxes for each fault."""
_SHIFT = (0.25, 0.5)
"""Minimum and maximum shift, in widths and heights of the box."""
_COPY = 0.1
"""Maximum offset of a copy's edges, in widths and heights of the box."""


@dataclass(frozen=True)
class Spoiled:
    """A dataset with planted faults."""

    dataset: Dataset
    faults: Mapping[int, str]
    """Box id -> fault, for every box that a reviewer should correct; of a duplicate, either one."""
    twins: Mapping[int, int]
    """Id of a copy -> id of its original."""


def spoil(dataset: Dataset, seed: int) -> Spoiled:
    """Swap the class of some boxes, shift others, and duplicate others; each has one fault.

    Args:
        dataset: its annotations are assumed to be right.
        seed: chooses the faults.
    """
    boxes = [box for box in dataset.boxes if not box.iscrowd]
    images = dataset.image_by_id
    ranked = sorted(
        boxes, key=lambda box: stable_rank(seed, images[box.image_id].file_name, box.id)
    )
    faults: dict[int, str] = {}
    start = 0
    for kind, share in SHARES.items():
        count = round(share * len(boxes))
        faults |= dict.fromkeys((box.id for box in ranked[start : start + count]), kind)
        start += count
    classes = [category.id for category in dataset.categories]
    new_id = max(box.id for box in boxes) + 1
    spoiled: list[Box] = []
    twins: dict[int, int] = {}
    for box in dataset.boxes:
        fault = faults.get(box.id)
        rng = np.random.default_rng((seed, box.id))
        image = images[box.image_id]
        if fault == "class":
            box = replace(box, category_id=_another(box.category_id, classes, rng))
        elif fault == "place":
            box = replace(box, xyxy=_shifted(box.xyxy, image, rng))
        spoiled.append(box)
        if fault == "double":
            twins[new_id] = box.id
            spoiled.append(replace(box, id=new_id, xyxy=_copied(box.xyxy, image, rng)))
            new_id += 1
    faults |= dict.fromkeys(twins, "double")
    return Spoiled(dataset.with_boxes(spoiled), faults, twins)


def _another(own: int, classes: Sequence[int], rng: np.random.Generator) -> int:
    return int(rng.choice([id for id in classes if id != own]))


def _shifted(xyxy: XYXY, image: Image, rng: np.random.Generator) -> XYXY:
    """Return the box moved in a random direction, as far as it stays within the image."""
    left, top, right, bottom = xyxy
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(*_SHIFT)
    across = length * np.cos(angle) * (right - left)
    down = length * np.sin(angle) * (bottom - top)
    # If the image ends there, the other way.
    if left + across < 0 or right + across > image.width:
        across = -across
    if top + down < 0 or bottom + down > image.height:
        down = -down
    return _inside((left + across, top + down, right + across, bottom + down), image)


def _copied(xyxy: XYXY, image: Image, rng: np.random.Generator) -> XYXY:
    left, top, right, bottom = xyxy
    width, height = right - left, bottom - top
    off = rng.uniform(-_COPY, _COPY, size=4) * (width, height, width, height)
    return _inside((left + off[0], top + off[1], right + off[2], bottom + off[3]), image)


def _inside(xyxy: tuple[float, ...], image: Image) -> XYXY:
    left, top, right, bottom = (float(value) for value in xyxy)
    return max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height)
