"""What a round trains with: the keys of its settings, and what the reviews say about them."""

from sparsedet.annotations import Dataset
from sparsedet.settings import TrainingSettings
from sparsedet.training.feedback import REVIEWED_ORIGINS

_EVERYWHERE = ("SPARSEDET.STAGED.MIN_MISSING", "0.0")


def round_keys(training: TrainingSettings, dataset: Dataset) -> list[str]:
    """Return the `KEY VALUE` words of a round's training; those of the settings come last.

    Where few labels are missing, `staged` does not train on what it mines, as annotators may have
    skipped these objects on purpose. Reviewers who found more mined boxes right than wrong say that
    they have not.

    Args:
        training: from `sparsedet.toml`.
        dataset: the annotations that the round begins with, reviews included.
    """
    right = sum(box.origin in REVIEWED_ORIGINS for box in dataset.boxes)
    confirmed = right > len(dataset.background)
    return [*(_EVERYWHERE if confirmed else ()), *training.overrides()]
