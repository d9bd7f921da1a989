"""Detections on readable images for evaluation; unreadable ones are excluded."""

import logging
from pathlib import Path
from typing import NamedTuple

from torch import nn

from sparsedet.annotations import Dataset
from sparsedet.config.training_config import TrainingConfig
from sparsedet.mining.detect import OnImage, detect_all
from sparsedet.mining.detections import Detections
from sparsedet.modeling.inputs import PixelCache
from sparsedet.run_folder import RunInfo, class_ids
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import warn_unreadable
from sparsedet.wording import counted, first_of

logger = logging.getLogger(__name__)


class Measurable(NamedTuple):
    """Input of metrics."""

    detections: list[Detections]
    dataset: Dataset
    """The readable images, with their annotations."""


def detect_readable(
    model: nn.Module,
    config: TrainingConfig,
    info: RunInfo,
    dataset: Dataset,
    images: Path,
    *,
    cache: PixelCache | None = None,
    on_image: OnImage = lambda done, total: None,
) -> Measurable:
    """Detect on a dataset; undecodable images are removed from it, with a warning.

    Otherwise their objects would count as missed.
    """
    met: list[Path] = []

    def note(path: Path, reason: str) -> None:
        warn_unreadable(path, reason)
        met.append(path)

    found = detect_all(
        model,
        config,
        dataset.images,
        images,
        class_ids(info, dataset),
        on_image,
        cache=cache,
        on_unreadable=note,
    )
    broken = {path for share in processes.gather(met) for path in share}
    if not broken:
        return Measurable(found, dataset)
    readable = dataset.with_images(
        image for image in dataset.images if images / image.file_name not in broken
    )
    if processes.is_first():
        logger.warning(
            "measured without %s that can't be read (%s), and %s %s",
            counted(len(broken), "image"),
            first_of(sorted(path.name for path in broken)),
            "its" if len(broken) == 1 else "their",
            counted(len(dataset.boxes) - len(readable.boxes), "annotation"),
        )
    kept = [one for one in found if one.image_id in readable.image_by_id]
    return Measurable(kept, readable)
