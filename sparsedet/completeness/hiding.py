"""Annotations that are hidden from a training, so that its model can be calibrated by them."""

from sparsedet.annotations import Dataset
from sparsedet.seeds import stable_rank

MOST_HIDDEN = 500
"""More make a calibration hardly better."""
FEWEST_HIDDEN = 10
"""Of fewer nothing can be learned: then none is hidden."""
_STREAM = "hidden"


def hide(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Return the dataset without a random share of its annotations.

    Only of classes that nobody marked as complete on the image, where other objects are without
    annotation, too; else all that has no label is background.

    Args:
        dataset: the annotations.
        share: of these annotations, 0 to 1.
        seed: the same seed hides the same boxes.
    """
    open_boxes = [
        box
        for box in dataset.boxes
        if not box.iscrowd and not dataset.image_by_id[box.image_id].is_complete(box.category_id)
    ]
    count = min(round(share * len(open_boxes)), MOST_HIDDEN)
    if count < FEWEST_HIDDEN:
        return dataset
    # Not by file names, to which an annotation tool may add something random at every upload.
    ranked = sorted(open_boxes, key=lambda box: stable_rank(seed, _STREAM, box.image_id, box.id))
    hidden = {box.id for box in ranked[:count]}
    return dataset.with_boxes(box for box in dataset.boxes if box.id not in hidden)
