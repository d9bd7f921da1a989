"""Where labels are missing, and where they are not: what was mined is trained on there alone.

Of almost complete labels, those that are left out are often left out for a reason: what annotators
take for no object worth a box, as cells out of focus. A training on what it mined there unlearns
that reason; one that is not told of it keeps it, and has little to gain from a few boxes more.
The share of objects with a label is a parameter of its own in learning from positive and unlabelled
data: Elkan and Noto, "Learning Classifiers from Only Positive and Unlabeled Data" (KDD 2008). Here
it is estimated by counting what mining found.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from sparsedet.annotations import Box, Dataset
from sparsedet.training.pseudo_labels import PseudoLabels


def where_missing(found: PseudoLabels, dataset: Dataset, least: float) -> PseudoLabels:
    """Return those of the mined boxes that are on places where labels seem to be missing.

    That is everywhere when of all objects at least the share `least` has no label; else for the
    classes of which that is true, and on images without any label.

    Args:
        found: what was mined.
        dataset: the images that were mined, and their annotations.
        least: share of the objects, annotated and found together; 0: everywhere.
    """
    both = [*found.labels, *found.doubtful]
    # Nothing is mined on the others: their labels say nothing about what these lack.
    incomplete = {image.id for image in dataset.images if not image.exhaustive}
    own = [box for box in dataset.boxes if box.image_id in incomplete and not box.iscrowd]
    if _share(len(both), len(own)) >= least:
        return found
    mined_of = Counter(box.category_id for box in both)
    labels_of = Counter(box.category_id for box in own)
    lacking = {
        number for number in mined_of if _share(mined_of[number], labels_of[number]) >= least
    }
    labelled = {box.image_id for box in own}

    def chosen(boxes: Iterable[Box]) -> tuple[Box, ...]:
        return tuple(
            box for box in boxes if box.category_id in lacking or box.image_id not in labelled
        )

    used = PseudoLabels(chosen(found.labels), chosen(found.doubtful))
    return replace(used, left_out=len(both) - len(used.labels) - len(used.doubtful))


def _share(mined: int, labels: int) -> float:
    """Return the share of objects without a label; 0 where there are none at all."""
    return mined / (mined + labels) if mined else 0.0
