"""Image order of an epoch: all images, those of rare classes more often on request."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import Image
from sparsedet.config.training_config import TrainingConfig
from sparsedet.modeling.targets import Role
from sparsedet.training.data.batch_order import BatchOrder, repeat_factors
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from tests.training.short_runs import short_config

COMMON, RARE, RAREST = 0, 1, 2


def images(*classes: list[int], width: int = 320) -> PackedDataset:
    """One image for each list of classes."""
    return PackedDataset(
        TrainingImage(
            Image(number, f"{number}.png", width, 240),
            Path(),
            np.zeros((len(own), 4), dtype=np.float32),
            np.array(own, dtype=np.int64),
            np.full(len(own), Role.LABEL, dtype=np.int64),
            np.ones(len(own), dtype=np.float32),
        )
        for number, own in enumerate(classes)
    )


def order_of(shown: PackedDataset, config: TrainingConfig, seed: int) -> BatchOrder:
    return BatchOrder(shown, config.loader, batch_size=config.solver.batch_size, seed=seed)


LONG_TAIL = images(*[[COMMON, COMMON]] * 12, [COMMON, RARE], [RARE, RARE], [RARE, RAREST], [])


def balanced(threshold: float = 0.5) -> TrainingConfig:
    return short_config(
        8,
        *("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler"),
        *("DATALOADER.REPEAT_THRESHOLD", str(threshold)),
        *("SOLVER.IMS_PER_BATCH", "4"),
    )


def test_a_single_image_of_its_orientation_is_not_repeated() -> None:
    wide = images(*[[COMMON]] * 9)
    mixed = PackedDataset([*(wide[place] for place in range(9)), images([COMMON], width=120)[0]])
    order = order_of(mixed, short_config(8, "SOLVER.IMS_PER_BATCH", "5"), seed=1)
    assert order.batches_per_epoch == 2
    seen = Counter(int(place) for batch in range(2) for place in order.batch(batch))
    assert seen == dict.fromkeys(range(10), 1)


@pytest.mark.parametrize(
    ("threshold", "root", "expected"),
    [
        # Of the 16 images 13 show the common class, 3 the rare one, and 1 the rarest.
        (0.5, True, [1, (0.5 / (3 / 16)) ** 0.5, (0.5 / (3 / 16)) ** 0.5, (0.5 * 16) ** 0.5, 1]),
        (0.5, False, [1, 0.5 / (3 / 16), 0.5 / (3 / 16), 0.5 * 16, 1]),
        (0.1, True, [1, 1, 1, (0.1 * 16) ** 0.5, 1]),
        (0.0, True, [1, 1, 1, 1, 1]),
    ],
)
def test_factors_are_those_of_lvis(threshold: float, root: bool, expected: list[float]) -> None:
    factors = repeat_factors(LONG_TAIL, threshold, root=root)
    assert factors[:11].tolist() == [1] * 11
    assert factors[11:].tolist() == pytest.approx(expected)


def test_what_is_not_a_label_makes_no_class() -> None:
    (image,) = images([COMMON])
    ignored = replace(image, roles=np.array([Role.IGNORE_REGION]))
    assert repeat_factors(PackedDataset([image, image, ignored]), 1.0).tolist() == pytest.approx(
        [1.5**0.5, 1.5**0.5, 1]
    )


def test_epochs_repeat_images_as_often_as_their_factors_say() -> None:
    order = order_of(LONG_TAIL, balanced(), seed=3)
    epochs = 400
    seen: Counter[int] = Counter()
    for iteration in range(order.batches_per_epoch * epochs):
        seen.update(order.batch(iteration).tolist())
    shown = np.array([seen[place] for place in range(16)])
    factors = repeat_factors(LONG_TAIL, 0.5)
    # The last batch is filled up, by all images alike.
    expected = factors / factors.sum() * shown.sum()
    assert shown / expected == pytest.approx(np.ones(16), abs=0.05)


def test_a_batch_depends_on_seed_and_iteration_alone() -> None:
    one, other = (order_of(LONG_TAIL, balanced(), seed=3) for _ in range(2))
    forward = [one.batch(iteration).tolist() for iteration in range(30)]
    assert [other.batch(iteration).tolist() for iteration in reversed(range(30))] == forward[::-1]
    assert order_of(LONG_TAIL, balanced(), seed=4).batch(0).tolist() != forward[0]
    epochs = np.reshape(forward, (-1, one.batches_per_epoch * 4))
    assert len({tuple(sorted(shown)) for shown in epochs.tolist()}) > 1


@pytest.mark.parametrize("config", [balanced(), short_config(8, "SOLVER.IMS_PER_BATCH", "4")])
def test_a_batch_has_one_orientation_where_asked_for(config: TrainingConfig) -> None:
    mixed = PackedDataset([*LONG_TAIL[:6], *LONG_TAIL[12:], *images(*[[RARE]] * 7, width=100)])
    order = order_of(mixed, config, seed=3)
    portrait = [len(mixed) - 7 <= place for place in range(len(mixed))]
    kinds = [
        {portrait[place] for place in order.batch(iteration)}
        for iteration in range(order.batches_per_epoch)
    ]
    assert all(len(kind) == 1 for kind in kinds)
    assert {True, False} == set.union(*kinds)
