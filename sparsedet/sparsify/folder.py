"""A split on disk: COCO files and `split.json`, which says how they came to be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsedet import __version__
from sparsedet.annotations import Dataset, write_coco
from sparsedet.atomic_io import write_json
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.split import Split
from sparsedet.sparsify.train_val_split import Validation
from sparsedet.sparsify.validation_record import describe_validation

RECORD = "split.json"


def describe_split(
    split: Split,
    full: Dataset,
    *,
    source: str | Mapping[str, str],
    recipe: Recipe | None,
    val: Validation | None,
    seed: int,
) -> dict[str, Any]:
    """Return the content of `split.json`: everything needed to make the split again.

    Args:
        split: What was made.
        full: The dataset that it was made from.
        source: The file it was made from, or tool and project.
        recipe: The recipe that removed boxes, if one did.
        val: Which images were held out for validation, if any were.
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
