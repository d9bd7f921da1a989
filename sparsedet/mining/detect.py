"""Detections of a trained model on a dataset's images."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparsedet.annotations import Image
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import AnnotationError
from sparsedet.mining.detections import Detections
from sparsedet.mining.image_embeddings import collected_embeddings
from sparsedet.modeling.checkpoint import too_little_memory
from sparsedet.modeling.inputs import InferenceInput, PixelCache, UInt8Image
from sparsedet.modeling.tiles import Tile, is_cut, merge, views_of
from sparsedet.runtime import processes
from sparsedet.runtime.unreadable import OnUnreadable, UnreadableImages, warn_unreadable

OnImage = Callable[[int, int], None]
"""Called as `on_image(done, total)`."""


def detect(
    model: nn.Module,
    config: TrainingConfig,
    images: Sequence[Image],
    folder: Path,
    category_ids: Sequence[int],
    on_image: OnImage = lambda done, total: None,
    *,
    cache: PixelCache | None = None,
    unreadable: UnreadableImages | None = None,
) -> Iterator[Detections]:
    """Yield the detections of each image, in order; none for an undecodable image.

    Images go through the network one by one, so that results never depend on neighbours.
    Where INPUT.TILE says so, tiles of large images do as well, after the whole image.

    Args:
        model: in evaluation mode.
        config: its configuration.
        images: the images.
        folder: the folder of their files.
        category_ids: the dataset's category id of each class of the model.
        on_image: called after every image.
        cache: cache of decoded images; None: every image is decoded.
        unreadable: records undecodable images; None: warn about up to
            DATALOADER.MAX_UNREADABLE.

    Raises:
        AnnotationError: when too many images can't be decoded, or all.
        RunError: when the GPU's memory does not suffice.
    """
    ids = np.array(category_ids, dtype=np.int64)
    if cache is None:
        cache = PixelCache(0)
    if unreadable is None:
        unreadable = UnreadableImages(config.loader.max_unreadable, len(images), warn_unreadable)
    at_test = config.input.at_test()
    for done, image in enumerate(images, start=1):
        views = views_of(image.width, image.height, config.input.tile)
        sizes = [at_test.size(*view_size(image, view)) for view in views]
        try:
            pixels = cache.read_views(image, folder, list(zip(views, sizes, strict=True)))
        except AnnotationError as error:
            unreadable.skip(folder / image.file_name, str(error))
            detections = _nothing(image)
        else:
            parts = [
                _on_view(model, at_test, image, view, seen, ids)
                for view, seen in zip(views, pixels, strict=True)
            ]
            detections = parts[0] if len(parts) == 1 else _merged(parts, views, image)
        on_image(done, len(images))
        yield detections


def view_size(image: Image, view: Tile | None) -> tuple[int, int]:
    """Return height and width of what is seen of an image."""
    if view is None:
        return image.height, image.width
    return view.bottom - view.top, view.right - view.left


def _on_view(
    model: nn.Module,
    at_test: InferenceInput,
    image: Image,
    view: Tile | None,
    pixels: UInt8Image,
    ids: NDArray[np.int64],
) -> Detections:
    """Detect on resized `pixels` of a view; boxes are in pixels of the image."""
    with torch.inference_mode(), collected_embeddings(model) as embeddings:
        given = at_test.of_resized(pixels, *view_size(image, view))
        try:
            found = model([given])[0]["instances"].to("cpu")
        except torch.cuda.OutOfMemoryError as error:
            height, width = pixels.shape[:2]
            what = f"to detect on image id {image.id} at {width} x {height} pixels"
            raise too_little_memory(what) from error
    boxes = found.pred_boxes.tensor.numpy().astype(np.float64)
    if view is not None:
        boxes += np.array([view.left, view.top] * 2)
    return Detections(
        image_id=image.id,
        boxes=boxes,
        scores=found.scores.numpy().astype(np.float64),
        category_ids=ids[found.pred_classes.numpy()],
        object_scores=found.object_scores.numpy().astype(np.float64),
        embedding=embeddings[-1] if embeddings else None,
    )


def _merged(parts: Sequence[Detections], views: Sequence[Tile | None], image: Image) -> Detections:
    """Return what several views show of an image, each object once."""
    whole = Tile(0, 0, image.width, image.height)
    cut = [
        is_cut(part.boxes, view or whole, image.width, image.height)
        for part, view in zip(parts, views, strict=True)
    ]
    everything = Detections(
        image.id,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.category_ids for part in parts]),
        np.concatenate([part.object_scores for part in parts]),
        parts[0].embedding,
    )
    found = everything.boxes, everything.scores, everything.category_ids
    numbers = np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts])
    return everything.select(merge(*found, np.concatenate(cut), numbers))


def _nothing(image: Image) -> Detections:
    scores = np.zeros(0)
    return Detections(image.id, np.zeros((0, 4)), scores, np.zeros(0, dtype=np.int64), scores)


def detect_all(
    model: nn.Module,
    config: TrainingConfig,
    images: Sequence[Image],
    folder: Path,
    category_ids: Sequence[int],
    on_image: OnImage = lambda done, total: None,
    *,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> list[Detections]:
    """Return the detections of all images, in order; see `detect`.

    Every process returns the same. As images go through the network one by one, the number of
    processes changes nothing.

    Args:
        on_unreadable: called for every undecodable image, by the process that hit it.
    """
    rank, ranks = processes.rank(), processes.ranks()
    own = images[rank::ranks]
    limit = config.loader.max_unreadable
    # The limit is for all images: a process that only knows its own does not stop alone.
    met = (
        UnreadableImages(limit, len(images), on_unreadable)
        if ranks == 1
        else UnreadableImages(len(images), len(images) + 1, on_unreadable)
    )
    found = detect(
        model,
        config,
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
