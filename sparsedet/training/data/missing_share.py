"""Training on mined boxes only where many labels are missing.

When labels are nearly complete, annotators may have skipped the other objects on purpose. A model
that is trained on these finds them again, and test labels made the same way count that as errors;
and it has little to gain from a few boxes more.

The share of objects that have a label decides, a parameter of its own in learning from positive and
unlabelled data: Elkan and Noto, "Learning Classifiers from Only Positive and Unlabeled Data" (KDD
2008). Here it is estimated from what a model finds: of annotated objects and of others, by the same
thresholds, so that a weak model does not take its own misses for complete labels. Wrong detections
count as objects, too: the share of missing labels is rather too high.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sparsedet.annotations import Box, Dataset
from sparsedet.training.data.pseudo_labels import PseudoLabels


def where_missing(
    found: PseudoLabels, known: Sequence[Box], dataset: Dataset, least: float
) -> PseudoLabels:
    """Return those of the mined boxes that are on places where labels seem to be missing.

    That is everywhere when of the objects that the model finds, on all images, at least the share
    `least` has no label; else for the classes of which that is true, and on images without any.

    Args:
        found: what was mined.
        known: annotated objects that the model finds as well.
        dataset: the images that were mined, and their annotations.
        least: share of the objects, 0 to 1; 0: everywhere.
    """
    mined = [*found.labels, *found.doubtful]
    if _share(len(mined), len(known)) >= least:
        return found
    mined_of = Counter(box.category_id for box in mined)
    known_of = Counter(box.category_id for box in known)
    lacking = {number for number in mined_of if _share(mined_of[number], known_of[number]) >= least}
    labelled = {box.image_id for box in dataset.boxes if not box.iscrowd}

    def chosen(boxes: Iterable[Box]) -> tuple[Box, ...]:
        return tuple(
            box for box in boxes if box.category_id in lacking or box.image_id not in labelled
        )

    used = PseudoLabels(chosen(found.labels), chosen(found.doubtful))
    return replace(used, left_out=len(mined) - len(used.labels) - len(used.doubtful))


def _share(mined: int, known: int) -> float:
    """Return the share of objects without a label; 0 where there are none at all."""
    return mined / (mined + known) if mined else 0.0
