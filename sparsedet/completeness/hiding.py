"""Hide annotations from a training, to calibrate its model with them."""

from sparsedet.annotations import Dataset
from sparsedet.seeds import stable_rank

MOST_HIDDEN = 500
"""More hardly improve a calibration."""
FEWEST_HIDDEN = 10
"""Fewer teach nothing; then none is hidden."""
_STREAM = "hidden"


def hide(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Return the dataset without a random share of its annotations.

    Only hides classes not marked as complete on the image, where other objects lack annotations,
    too: on complete images everything without a label is background.

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
    # Not by file name: annotation tools may add something random at every upload.
    ranked = sorted(open_boxes, key=lambda box: stable_rank(seed, _STREAM, box.image_id, box.id))
    hidden = {box.id for box in ranked[:count]}
    return dataset.with_boxes(box for box in dataset.boxes if box.id not in hidden)
