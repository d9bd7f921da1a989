"""Detecting on everything that a source has, into an output."""

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
"""Called as `on_image(done, total)`; the total is None where nobody knows it."""

_AHEAD = 2
"""Batches that are decoded while the network is busy."""


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
        detector: finds.
        source: the images.
        output: takes what was found; finished at the end, and discarded at an error or Ctrl-C.
        score: the least score.
        classes: names of those that are wanted; None: all.
        tile: side in pixels of the tiles that large images are cut into.
        batch: images that go through the network together; None: as `Detector.predict_all`.
        on_image: called after every image.

    Returns:
        The number of detections by class name; and under "" that of images.

    Raises:
        SparseDetError: when no image can be read, or the output can't take one.
    """
    counts = dict.fromkeys(["", *detector.classes.values()], 0)
    size = batch or detector.batch
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
    """Yield what `source` yields; a thread of its own is up to `count` items ahead."""
    ready: Queue[tuple[_T | None, BaseException | None]] = Queue(count)
    left = Event()

    def read() -> None:
        try:
            for item in source:
                ready.put((item, None))
                if left.is_set():
                    return
        except BaseException as error:  # raised again below, where the caller is
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
            # It may wait for room.
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.05)
