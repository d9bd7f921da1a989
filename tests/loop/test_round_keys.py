"""What reviewers said of mined boxes decides whether a round trains on mined boxes everywhere."""

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.loop.feedback import round_keys
from sparsedet.loop.settings import TrainingSettings
from sparsedet.training.config.loading import load_config


def reviewed(rejected: int, *origins: str) -> Dataset:
    """Annotations of these origins, and so many boxes that were rejected."""
    xyxy = (1.0, 1.0, 5.0, 9.0)
    boxes = tuple(Box(number, 1, 1, xyxy, origin=origin) for number, origin in enumerate(origins))
    background = tuple(Box(number, 1, 1, xyxy) for number in range(rejected))
    return Dataset((Image(1, "a.png", 64, 48),), boxes, (Category(1, "cell"),), background)


@pytest.mark.parametrize(
    ("dataset", "least"),
    [
        (reviewed(0, "human", "human"), 0.4),
        (reviewed(1, "human", "accepted", "edited"), 0.0),
        (reviewed(2, "human", "accepted", "edited"), 0.4),
    ],
)
def test_reviewers_who_confirm_mined_boxes_have_them_trained_on(
    dataset: Dataset, least: float
) -> None:
    cfg = load_config("lite0_fpn", round_keys(TrainingSettings(), dataset))
    assert cfg.SPARSEDET.STAGED["MIN_MISSING"] == least


def test_what_the_settings_say_counts_more() -> None:
    training = TrainingSettings(keys={"SPARSEDET.STAGED.MIN_MISSING": 0.7, "SOLVER.MAX_ITER": 9})
    cfg = load_config("lite0_fpn", round_keys(training, reviewed(0, "accepted")))
    assert (cfg.SPARSEDET.STAGED.MIN_MISSING, cfg.SOLVER.MAX_ITER) == (0.7, 9)
