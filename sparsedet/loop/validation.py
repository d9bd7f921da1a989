"""Which images a round holds out by default, so that every round has an average precision.

AP is most meaningful on images that people marked as complete: elsewhere, detecting an object
without a box counts as an error. So a tenth of those is held out, or of all annotated images while
too few are complete. Held-out images stay held out, whatever is added, removed or marked later.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import Dataset, Image, read_coco
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import ValidationSettings
from sparsedet.loop.workspace import Workspace
from sparsedet.seeds import stable_rank
from sparsedet.sparsify import GroupBy
from sparsedet.wording import counted

SHARE = 0.1
"""Share of the images to hold out, as far as that costs training little."""
LEAST = 5
"""Minimum number of images: with fewer, AP says nothing."""
_MOST = 0.25
"""Maximum share of the annotated images; training keeps the others."""

MIN_ANNOTATED = round(LEAST / _MOST)
"""Minimum number of annotated images for holding any out."""
MIN_COMPLETE = 2 * LEAST
"""With fewer complete images, the choice is made from all annotated ones."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """How many images of a dataset AP could be measured on."""

    annotated: int
    """Number of images that have a box, or are complete."""
    complete: int
    """Number of images that a person marked as complete."""

    @classmethod
    def of_file(cls, content: Mapping[str, Any]) -> "Labelled":
        """Count in the parsed content of a COCO file, without checking it."""
        images, boxes = (
            [entry for entry in found if isinstance(entry, dict)]
            if isinstance(found := content.get(key), list)
            else []
            for key in ("images", "annotations")
        )
        complete = {str(image.get("id")) for image in images if image.get("exhaustive") is True}
        drawn = {str(box["image_id"]) for box in boxes if "image_id" in box}
        return cls(len(complete | drawn), len(complete))

    def lacking(self) -> str:
        """Return what is missing for an AP, for display; empty: nothing."""
        if self.annotated >= MIN_ANNOTATED:
            return ""
        return (
            f"no AP yet: it needs {MIN_ANNOTATED} images with boxes or marked as complete, and "
            f"there {'is' if self.annotated == 1 else 'are'} {self.annotated}; then "
            f"each round holds out {LEAST} or more for evaluation"
        )


def hold_out_some(
    dataset: Dataset, before: Collection[str], seed: int, group_by: GroupBy | None = None
) -> tuple[Dataset, Dataset] | None:
    """Return training and validation images; None if holding out would cost too much.

    Args:
        dataset: the round's annotations.
        before: file names of images held out by earlier rounds; they stay held out.
        seed: seed of the choice, which doesn't depend on image order.
        group_by: images of a group stay on one side.

    Raises:
        SparseDetError: when an image has no group.
    """
    groups = group_by.names(dataset.images) if group_by else {}
    units: dict[str, list[Image]] = defaultdict(list)
    for image in dataset.images:
        units[groups.get(image.id, image.file_name)].append(image)
    complete = {image.id for image in dataset.images if image.exhaustive}
    annotated = complete | {box.image_id for box in dataset.boxes if not box.iscrowd}
    basis = complete if len(complete) >= MIN_COMPLETE else annotated
    wanted = max(LEAST, round(SHARE * len(basis)))
    most = int(_MOST * len(annotated))

    def count(names: Collection[str], among: Collection[int]) -> int:
        return sum(image.id in among for name in names for image in units[name])

    known = set(before)
    chosen = {name for name, own in units.items() if any(i.file_name in known for i in own)}
    is_new = not chosen
    found, costs = count(chosen, basis), count(chosen, annotated)
    for name in sorted(units.keys() - chosen, key=lambda name: (stable_rank(seed, name), name)):
        gain, cost = count([name], basis), count([name], annotated)
        if found < wanted and gain and costs + cost <= most:
            chosen.add(name)
            found, costs = found + gain, costs + cost
    held_out = {image.id for name in chosen for image in units[name]}
    if (is_new and found < LEAST) or not annotated - held_out:
        return None
    return (
        dataset.with_images(image for image in dataset.images if image.id not in held_out),
        dataset.with_images(image for image in dataset.images if image.id in held_out),
    )


def held_out_before(workspace: Workspace, round: int) -> frozenset[str]:
    """Return the file names of images held out by earlier rounds."""
    earlier = [folder for folder in workspace.all_rounds() if folder.number < round]
    return frozenset(
        image.file_name
        for folder in earlier
        if folder.val.exists()
        for image in read_coco(folder.val).images
    )


def measured_on(held_out: Dataset) -> tuple[Dataset, str]:
    """Return the images to evaluate on, and their description for display.

    These are the complete images, unless there are too few.
    """
    complete = [image for image in held_out.images if image.exhaustive]
    if len(complete) >= LEAST:
        return held_out.with_images(complete), f"{len(complete)} complete images"
    images = counted(len(held_out.images), "image")
    if held_out.has_class_marks:
        # AP is federated there: see `evaluate`.
        return held_out, (
            f"{images}, some complete in some classes: elsewhere, unmatched detections don't count"
        )
    return held_out, (
        f"{images}, {len(complete) or 'none'} marked as complete: objects without a box count as "
        "errors"
    )


def what_ap_takes(
    settings: ValidationSettings, labelled: Labelled | None, newest: RoundFolder | None
) -> str:
    """Return what is missing for an AP if no round has one, for display; empty: nothing.

    Args:
        settings: the workspace's settings.
        labelled: counts of its annotations; None: nothing was pulled yet.
        newest: its newest round.
    """
    if settings.data or settings.share:
        return ""
    if not settings.auto:
        return (
            "no AP: rounds hold no images out; in sparsedet.toml, `auto = true` under [validation] "
            "evaluates the next round on some of its images, `data` on other data"
        )
    if labelled is None or (newest is not None and newest.val.exists()):
        return ""
    return labelled.lacking() or "no AP yet: the next round holds out images and evaluates on them"
