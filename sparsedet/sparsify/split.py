"""Sparse splits: validation images held out, boxes removed by a recipe, and both on disk.

A split's folder holds COCO files and `split.json`, which records how they were made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet import __version__
from sparsedet.annotations import Dataset, write_coco
from sparsedet.annotations.model import Image
from sparsedet.annotations.table import BoxTable
from sparsedet.atomic_io import write_json
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.near_duplicates import HASH, NearDuplicates
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.train_val_split import Validation, split_train_val, split_units
from sparsedet.wording import counted

RECORD = "split.json"

_LISTED = 50
"""Maximum number of near-duplicate sets listed in the record."""
_MANY = 0.1
"""Share of the images: a larger set of near duplicates suggests a fixed camera."""
_MANY_IMAGES = 10
"""Smaller sets give no warning, even among few images."""
_OFF = 0.5
"""Relative error of the validation share that triggers a warning."""


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a fully annotated dataset."""

    train: Dataset
    """Training images, without the removed boxes."""
    removed: Dataset | None
    """The removed boxes, on all training images; None without a recipe."""
    val: Dataset | None
    """Validation images with all their boxes; None if nothing was held out."""

    def parts(self) -> dict[str, Dataset]:
        """Return the existing parts, by file name without suffix."""
        parts = {"train": self.train, "removed": self.removed, "val": self.val}
        return {name: part for name, part in parts.items() if part is not None}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of boxes by category name and part, crowd regions excluded."""
        counted = {name: part.counts() for name, part in self.parts().items()}
        return {
            category.name: {name: counts[category.name] for name, counts in counted.items()}
            for category in self.train.categories
        }


def make_split(dataset: Dataset, recipe: Recipe | None, val: Validation | None, seed: int) -> Split:
    """Hold out images according to `val`, then remove boxes from the others by `recipe`.

    Validation images keep all their boxes: metrics say little where labels are missing.
    """
    train, held_out = (dataset, None) if val is None else split_train_val(dataset, val, seed)
    if recipe is None:
        return Split(train, None, held_out)
    kept, removed = remove_boxes(train, recipe, seed)
    return Split(kept, removed, held_out)


def remove_boxes(dataset: Dataset, recipe: Recipe, seed: int) -> tuple[Dataset, Dataset]:
    """Apply a recipe; return the sparse dataset and the removed boxes on the same images.

    The two partition the boxes, in file order. Crowd regions, verified negatives and images always
    stay; an image that lost a box is no longer `exhaustive`, nor complete in the box's class. The
    result depends only on the seed, the file names and the box ids, not on the order of images and
    boxes.

    Raises:
        RecipeError: when the recipe's rules can't be satisfied.
    """
    table = dataset.table
    gone = np.zeros(len(table), dtype=np.bool_)
    gone[~table.iscrowd] = recipe.removed(Candidates.of(dataset, seed))
    removed = table.select(gone)
    return (
        replace(dataset, images=_incomplete(dataset.images, removed), boxes=table.select(~gone)),
        replace(
            dataset,
            images=tuple(image.unmarked() for image in dataset.images),
            boxes=removed,
            verified_negatives=(),
        ),
    )


def describe_split(
    split: Split,
    full: Dataset,
    *,
    source: str | Mapping[str, str],
    recipe: Recipe | None,
    val: Validation | None,
    seed: int,
) -> dict[str, Any]:
    """Return the content of `split.json`: everything needed to reproduce the split.

    Args:
        split: The split.
        full: The dataset that it was made from.
        source: The source file, or tool and project.
        recipe: The recipe that removed boxes, if any.
        val: Which images were held out for validation, if any.
        seed: The seed of both.
    """
    counts = split.counts()
    return {
        "sparsedet": __version__,
        "source": source,
        "seed": seed,
        "recipe": recipe and recipe.as_json(),
        "val": val and val.share,
        "validation": val and split.val and describe_validation(full, split.val, val),
        "images": {
            name: len(part.images) for name, part in split.parts().items() if name != "removed"
        },
        "boxes": {name: sum(row[name] for row in counts.values()) for name in split.parts()},
        "classes": counts,
    }


def write_split(split: Split, record: Mapping[str, Any], folder: Path) -> None:
    """Write a split's COCO files and its record into `folder`."""
    for name, part in split.parts().items():
        write_coco(part, folder / f"{name}.json")
    write_json(folder / RECORD, record, indent=2)


def _incomplete(images: tuple[Image, ...], removed: BoxTable) -> tuple[Image, ...]:
    """Return the images; those that lost a box are no longer complete in its class."""
    lost: dict[int, set[int]] = {}
    pairs = np.unique(np.stack([removed.image_ids, removed.category_ids], axis=1), axis=0)
    for image_id, category_id in pairs.tolist():
        lost.setdefault(image_id, set()).add(category_id)
    return tuple(
        image.incomplete(lost[image.id]) if image.id in lost else image for image in images
    )


def describe_validation(full: Dataset, val: Dataset, validation: Validation) -> dict[str, Any]:
    """Describe how images were held out, as JSON; `warnings` are sentences for the user.

    Args:
        full: The dataset that was split.
        val: The held-out part.
        validation: How it was held out.
    """
    held_out = {image.file_name for image in val.images}
    units = split_units(full.images, validation)
    reached = len(val.images) / len(full.images)
    counts, measured = full.counts(), val.counts()
    near_duplicates = validation.near_duplicates
    return {
        "asked": validation.share,
        "reached": round(reached, 4),
        "exhaustive": sum(image.exhaustive for image in val.images),
        "groups": _groups(full, val, validation),
        "near_duplicates": near_duplicates and _near_duplicates(near_duplicates),
        "together": {
            "sets": len(units),
            "validation": sum(unit[0] in held_out for unit in units),
            "largest": max(map(len, units)),
        },
        "unmeasured": [name for name in counts if counts[name] and not measured[name]],
        "warnings": [
            *_share_warnings(full, val, validation, units),
            *(_chain_warnings(near_duplicates, len(full.images)) if near_duplicates else ()),
        ],
    }


def _groups(full: Dataset, val: Dataset, validation: Validation) -> dict[str, Any] | None:
    if validation.group_by is None:
        return None
    names = validation.group_by.names(full.images)
    return {
        "by": str(validation.group_by),
        "total": len(set(names.values())),
        "validation": len({names[image.id] for image in val.images}),
    }


def _near_duplicates(found: NearDuplicates) -> dict[str, Any]:
    return {
        "hash": HASH,
        "distance": found.distance,
        "sets": len(found.sets),
        "images": sum(map(len, found.sets)),
        "listed": [list(names) for names in found.sets[:_LISTED]],
    }


def _share_warnings(
    full: Dataset, val: Dataset, validation: Validation, units: list[list[str]]
) -> list[str]:
    total, held_out, share = len(full.images), len(val.images), validation.share
    off = abs(held_out / total - share)
    if len(units) == total or off <= _OFF * min(share, 1 - share):
        return []
    largest = max(units, key=len)
    return [
        f"validation has {held_out} of {total} images instead of the requested share {share}: "
        f"they form {counted(len(units), 'set that stays', 'sets that stay')} together, the "
        f"largest of {counted(len(largest), 'image')} (with {largest[0]})"
    ]


def _chain_warnings(found: NearDuplicates, total: int) -> list[str]:
    largest = max(found.sets, key=len, default=())
    if len(largest) < max(_MANY_IMAGES, _MANY * total):
        return []
    return [
        f"{len(largest)} of {total} images form one set of near duplicates (with {largest[0]}), as "
        "with a fixed camera; a smaller --near-duplicate-distance splits it up, "
        "--no-near-duplicates disables the search"
    ]
