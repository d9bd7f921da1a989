"""Detecting with several processes: each takes its share of the images, all get all detections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sparsedet import processes
from sparsedet.annotations import Image
from sparsedet.mining.detect import Detections, OnImage, detect
from sparsedet.pixel_cache import PixelCache
from sparsedet.unreadable import OnUnreadable, UnreadableImages, warn_unreadable


def detect_all(
    model: nn.Module,
    cfg: Any,
    images: Sequence[Image],
    folder: Path,
    category_ids: Sequence[int],
    on_image: OnImage = lambda done, total: None,
    *,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> list[Detections]:
    """Return the detections of all images, in order; see `detect`.

    Every process returns the same. As images go through the network one by one, their number
    changes nothing.

    Args:
        on_unreadable: told about every image that can't be decoded, by the process that met it.
    """
    rank, ranks = processes.rank(), processes.ranks()
    own = images[rank::ranks]
    limit: int = cfg.DATALOADER.MAX_UNREADABLE
    # The bound is of all images: a process that knows only its own does not stop alone.
    met = (
        UnreadableImages(limit, len(images), on_unreadable)
        if ranks == 1
        else UnreadableImages(len(images), len(images) + 1, on_unreadable)
    )
    found = detect(
        model,
        cfg,
        own,
        folder,
        category_ids,
        lambda done, _: on_image(min(done * ranks, len(images)), len(images)),
        cache=cache,
        unreadable=met,
    )
    shares = processes.gather(list(found))
    all_met = UnreadableImages(limit, len(images))
    for reasons in processes.gather(met.reasons):
        for path, reason in reasons.items():
            all_met.skip(path, reason)
    result: list[Detections | None] = [None] * len(images)
    for first, share in enumerate(shares):
        result[first::ranks] = share
    return [detections for detections in result if detections is not None]
