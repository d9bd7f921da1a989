"""The table of `sparsedet split`, and how images were held out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsedet.wording import counted

from ..output import say, table


def show_split(output: Path, record: Mapping[str, Any]) -> None:
    """Print a table of boxes per class and part."""
    from sparsedet.sparsify.recipe import describe_rule

    parts = list(record["boxes"])
    rows = [[name, *counts.values()] for name, counts in record["classes"].items()]
    rows.append(["all classes", *record["boxes"].values()])
    rows.append(["images", *(record["images"].get(part, "") for part in parts)])
    if recipe := record["recipe"]:
        rules = ", ".join(describe_rule(**rule) for rule in recipe["rules"])
        title = f"{output}: boxes after recipe {recipe['name']} ({rules}), seed {record['seed']}"
    elif released := record.get("released"):
        matched = released["matched"]
        title = (
            f"{output}: boxes of the released file {released['name']}, all found in the full file "
            f"({matched['by_id']} by id, {matched['by_place']} by position; edges differ by up to "
            f"{released['offset']} px)"
        )
    else:
        title = f"{output}: boxes, seed {record['seed']}"
    table(title, ["class", *parts], rows)
    if not record["boxes"]["train"]:
        say("warning: no boxes are left to train on")
    if recipe and not record["boxes"]["removed"]:
        say("warning: nothing was removed, so this is training on all labels")
    if recipe and record["val"]:
        say("Validation images keep all their boxes; the recipe applies to training images.")
    if validation := record["validation"]:
        _show_validation(validation, record["images"]["val"])


def _show_validation(validation: Mapping[str, Any], images: int) -> None:
    """Print how images were held out, with warnings."""
    if groups := validation["groups"]:
        say(f"Validation has {groups['validation']} of {groups['total']} groups by {groups['by']}.")
    if found := validation["near_duplicates"]:
        sets = counted(found["sets"], "set", "sets, each")
        say(f"Near duplicates: {found['images']} images in {sets} on the same side.")
    if exhaustive := validation["exhaustive"]:
        verb = "is" if exhaustive == 1 else "are"
        say(f"{exhaustive} of {counted(images, 'validation image')} {verb} marked exhaustive.")
    if unmeasured := validation["unmeasured"]:
        say(f"Validation has no boxes of {', '.join(unmeasured)}.")
    for warning in validation["warnings"]:
        say(f"warning: {warning}")
