"""What `split.json` says about the images held out for validation."""

from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.sparsify.near_duplicates import HASH, NearDuplicates
from sparsedet.sparsify.train_val_split import Validation, sets_that_stay_together

_LISTED = 50
"""Sets of near duplicates that are listed."""
_MANY = 0.1
"""Share of the images; a set of near duplicates beyond that looks like a fixed camera."""
_MANY_IMAGES = 10
"""Smaller sets are none to warn of, however few images there are."""
_OFF = 0.5
"""Part of the share by which validation may miss it without a warning."""


def describe_validation(full: Dataset, val: Dataset, validation: Validation) -> dict[str, Any]:
    """Return how images were held out, as JSON values; `warnings` are sentences for people.

    Args:
        full: The dataset that was divided.
        val: The part of it that was held out.
        validation: How.
    """
    held_out = {image.file_name for image in val.images}
    units = sets_that_stay_together(full.images, validation)
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
        f"validation has {held_out} of {total} images where a share of {share} was asked for: they "
        f"come in {len(units)} sets that stay together, the largest of {len(largest)} images "
        f"(with {largest[0]})"
    ]


def _chain_warnings(found: NearDuplicates, total: int) -> list[str]:
    largest = max(found.sets, key=len, default=())
    if len(largest) < max(_MANY_IMAGES, _MANY * total):
        return []
    return [
        f"{len(largest)} of {total} images hang together as near duplicates (with {largest[0]}), "
        "as pictures of a fixed camera do; a smaller --near-duplicate-distance tells more of them "
        "apart, --no-near-duplicates all"
    ]
