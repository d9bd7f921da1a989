"""Pseudo-labelling: which boxes of its own images a model finds between two stages of `staged`."""

from functools import partial
from pathlib import Path

from torch import nn

from sparsedet.annotations import Dataset
from sparsedet.config.training_config import TrainingConfig
from sparsedet.mining.detect import OnImage, detect_all
from sparsedet.mining.mine import select
from sparsedet.mining.prototypes import box_features
from sparsedet.modeling.inputs import PixelCache
from sparsedet.run_folder import RunInfo, class_ids
from sparsedet.runtime.unreadable import OnUnreadable, warn_unreadable
from sparsedet.training.data.pseudo_labels import PseudoLabels, usable, where_missing
from sparsedet.training.data.resemblance import Rated, without_unlike
from sparsedet.training.data.soft_labels import soft_labels


def find_pseudo_labels(
    model: nn.Module,
    config: TrainingConfig,
    dataset: Dataset,
    images: Path,
    info: RunInfo,
    *,
    on_image: OnImage = lambda done, total: None,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> PseudoLabels:
    """Return the boxes that the next stage trains on besides the annotations.

    Args:
        model: in evaluation mode.
        config: its configuration.
        dataset: the images and their annotations.
        images: the folder of their files.
        info: of the run.
        on_image: called after every image.
        cache: cache of decoded images; None: every image is decoded.
        on_unreadable: called for every undecodable image; nothing is mined there.
    """
    ids = class_ids(info, dataset)
    if cache is None:
        cache = PixelCache(0)
    detections = detect_all(
        model,
        config,
        dataset.images,
        images,
        ids,
        on_image,
        cache=cache,
        on_unreadable=on_unreadable,
    )
    banded = select(detections, dataset, config.mining, run_id=info.run_id)
    mined = [*banded.labels, *banded.ignored]
    chosen = where_missing(mined, banded.known, dataset, config.staged.min_missing)
    features_of = partial(box_features, model, config, dataset, images, cache=cache)
    staged = config.staged
    if staged.soft_labels:
        rated = Rated.of(detections, dataset)
        found = soft_labels(rated, dataset, features_of if staged.prototypes else None)
    else:
        found = PseudoLabels(banded.labels, (1.0,) * len(banded.labels), banded.ignored)
    found = found.where(chosen)
    if staged.prototypes and not staged.soft_labels and found.ignored:
        found = without_unlike(found, Rated.of(detections, dataset), dataset, features_of)
    return usable(found, staged)
