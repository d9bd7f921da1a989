"""What training takes from the reviewers: one option for each thing that they can say."""

from dataclasses import replace

from detectron2.config import CfgNode

from sparsedet.annotations import Dataset

REVIEWED_ORIGINS = ("accepted", "edited")
"""`Box.origin` of mined boxes that reviewers made annotations."""


def usable_feedback(dataset: Dataset, cfg: CfgNode) -> Dataset:
    """Return the dataset without the feedback that cfg.SPARSEDET.FEEDBACK switches off.

    Without its accepted boxes an image is no longer exhaustive: they would be background.
    """
    use = cfg.SPARSEDET.FEEDBACK
    if not use.ACCEPTED:
        dataset = _without_accepted(dataset)
    if not use.REJECTED:
        dataset = replace(dataset, verified_negatives=())
    if not use.EXHAUSTIVE:
        images = tuple(replace(image, exhaustive=False) for image in dataset.images)
        dataset = replace(dataset, images=images)
    return dataset


def _without_accepted(dataset: Dataset) -> Dataset:
    accepted = [box for box in dataset.boxes if box.origin in REVIEWED_ORIGINS]
    incomplete = {box.image_id for box in accepted}
    images = tuple(
        replace(image, exhaustive=False) if image.id in incomplete else image
        for image in dataset.images
    )
    boxes = tuple(box for box in dataset.boxes if box.origin not in REVIEWED_ORIGINS)
    return replace(dataset, images=images, boxes=boxes)
