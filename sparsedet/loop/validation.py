"""Which images a round holds out by itself, so that every round has its average precision.

AP says most on images that people marked as complete: elsewhere an object without a box counts as a
mistake of the model. So a tenth of those is held out; of the annotated ones while too few are
complete. An image that was held out once stays so, whatever is added, removed or marked later.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import Dataset, Image, read_coco
from sparsedet.loop.settings import ValidationSettings
from sparsedet.loop.workspace import RoundFolder, Workspace
from sparsedet.seeds import stable_rank
from sparsedet.sparsify import GroupBy

SHARE = 0.1
"""Of the images, as far as that costs training little."""
LEAST = 5
"""Images: on fewer, a figure says nothing."""
_MOST = 0.25
"""Of the annotated images; the others are left to training."""

MIN_ANNOTATED = round(LEAST / _MOST)
"""Annotated images without which nothing is held out."""
MIN_COMPLETE = 2 * LEAST
"""Complete images without which the annotated ones are what is chosen from."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """How many images of a dataset can be measured on."""

    annotated: int
    """Those that have a box, or are complete."""
    complete: int
    """Those that a person marked as complete."""

    @classmethod
    def of_file(cls, content: Mapping[str, Any]) -> "Labelled":
        """Count in the parsed content of a COCO file, which is not checked."""
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
        """Return what it takes to have a figure, for people; empty: nothing."""
        if self.annotated >= MIN_ANNOTATED:
            return ""
        return (
            f"no AP yet: it takes {MIN_ANNOTATED} images with boxes, or marked as complete, and "
            f"there are {self.annotated}; then each round holds out {LEAST} or more to measure on"
        )


def hold_out_some(
    dataset: Dataset, before: Collection[str], seed: int, group_by: GroupBy | None = None
) -> tuple[Dataset, Dataset] | None:
    """Return the training and the validation images; None where that would cost too much.

    Args:
        dataset: of the round.
        before: file names of the images that rounds have held out until now; they stay out.
        seed: of the choice, which does not depend on the order of images.
        group_by: images of one group stay on one side.

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
    """Return the file names of the images that earlier rounds held out."""
    earlier = [folder for folder in workspace.all_rounds() if folder.number < round]
    return frozenset(
        image.file_name
        for folder in earlier
        if folder.val.exists()
        for image in read_coco(folder.val).images
    )


def measured_on(held_out: Dataset) -> tuple[Dataset, str]:
    """Return the images that a figure is measured on, and what they are, for people.

    Those that are complete, unless they are too few.
    """
    complete = [image for image in held_out.images if image.exhaustive]
    if len(complete) >= LEAST:
        return held_out.with_images(complete), f"{len(complete)} complete images"
    return held_out, (
        f"{len(held_out.images)} images, most of which nobody marked as complete: objects that "
        "have no box count against it"
    )


def what_ap_takes(
    settings: ValidationSettings, labelled: Labelled | None, newest: RoundFolder | None
) -> str:
    """Return what it takes to have an AP where no round has any, for people; empty: nothing.

    Args:
        settings: of the workspace.
        labelled: what its annotations hold; None: nothing is pulled yet.
        newest: its newest round.
    """
    if settings.data or settings.share:
        return ""
    if not settings.auto:
        return (
            "no AP: rounds hold nothing out; `auto = true` under [validation] in sparsedet.toml "
            "has the next one measure on some of its images, `data` on others"
        )
    if labelled is None or (newest is not None and newest.val.exists()):
        return ""
    return labelled.lacking() or "no AP yet: the next round holds images out and measures it"
