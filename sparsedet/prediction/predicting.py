"""Detect on everything in a source, into an output."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

from sparsedet.prediction.detector import SCORE, Detector
from sparsedet.prediction.outputs import Output
from sparsedet.prediction.sources import ImageSource, SourceImage

_T = TypeVar("_T")

OnImage = Callable[[int, int | None], None]
"""Called as `on_image(done, total)`; the total is None if unknown."""

_AHEAD = 2
"""Number of batches decoded ahead of the network."""


def predict_source(
    detector: Detector,
    source: ImageSource,
    output: Output,
    *,
    score: float = SCORE,
    classes: Collection[str] | None = None,
    tile: int | None = None,
    batch: int | None = None,
    on_image: OnImage = lambda done, total: None,
) -> dict[str, int]:
    """Detect on all images of a source.

    Args:
        detector: the detector.
        source: the images.
        output: receives the detections; finished at the end, which for a camera is Ctrl-C, and
            discarded on an error, or on Ctrl-C before.
        score: minimum score.
        classes: names of the classes to detect; None: all.
        tile: side in pixels of tiles for large images; 0: no tiles; None: as in training.
        batch: images per network batch; None: as in `Detector.predict_all`.
        on_image: called after every image.

    Returns:
        Number of detections by class name, and the number of images under "".

    Raises:
        SparseDetError: when no image can be read, or the output fails.
    """
    counts = dict.fromkeys(["", *detector.classes.values()], 0)
    size = batch or detector.batch
    try:
        try:
            for group in _groups(_read_ahead(source, _AHEAD * size), size):
                found = detector.predict_all(
                    [image.pixels for image in group],
                    score=score,
                    classes=classes,
                    tile=tile,
                    color_order="BGR",
                    batch=size,
                )
                for image, own in zip(group, found, strict=True):
                    output.add(image, own)
                    counts[""] += 1
                    for label in own.labels:
                        counts[label] += 1
                    on_image(counts[""], source.total)
        except KeyboardInterrupt:
            # A camera ends in no other way.
            if not (source.is_live and counts[""]):
                raise
        output.finish()
    except BaseException:
        output.discard()
        raise
    return counts


def _groups(images: Iterable[SourceImage], size: int) -> Iterator[list[SourceImage]]:
    rest = iter(images)
    while group := list(islice(rest, size)):
        yield group


def _read_ahead(source: Iterable[_T], count: int) -> Iterator[_T]:
    """Yield the items of `source`, read up to `count` ahead by a thread."""
    ready: Queue[tuple[_T | None, BaseException | None]] = Queue(count)
    left = Event()

    def read() -> None:
        try:
            for item in source:
                ready.put((item, None))
                if left.is_set():
                    return
        except BaseException as error:  # raised again below, in the caller's thread
            ready.put((None, error))
        else:
            ready.put((None, None))

    thread = Thread(target=read, name="images", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        left.set()
        while thread.is_alive():
            # It may be waiting for room.
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.05)
