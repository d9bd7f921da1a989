"""A trained detector as a source of pre-labels."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from sparsedet.annotations import read_upright
from sparsedet.errors import AnnotationError, PredictionError
from sparsedet.prediction.detector import SCORE, Detector, Pixels, find_run
from sparsedet.prelabels import Prelabel


class DetectorPrelabels:
    """A `PrelabelModel` whose weights are loaded at the first image.

    Args:
        run: run folder of a finished training, or a workspace (its last round with a model).
        score: minimum score.
        classes: names of the classes to detect; None: all.
        tile: side in pixels of tiles for large images; 0: no tiles; None: as in training.
        batch: images per network batch; None: as in `Detector.predict_all`.
        device: auto, cpu or cuda.

    Raises:
        SparseDetError: when there is no finished training, or the model lacks a class.
    """

    def __init__(
        self,
        run: Path,
        *,
        score: float = SCORE,
        classes: Collection[str] | None = None,
        tile: int | None = None,
        batch: int | None = None,
        device: str = "auto",
    ) -> None:
        self._run = find_run(run)
        self._run.finished_model()
        self._score, self._tile, self._batch, self._device = score, tile, batch, device
        info = self._run.info()
        self.run_id = info.run_id
        self.settings = f"score {score:g}" + (f", tiles {tile}" if tile is not None else "")
        known = [name for _, name in info.classes]
        if unknown := sorted(set(classes or ()) - set(known)):
            raise PredictionError(
                f"the model has no class {unknown[0]!r} (it has {', '.join(known)})"
            )
        self.classes = [name for name in known if classes is None or name in classes]

    def find(
        self, files: Sequence[Path], classes: Collection[str]
    ) -> Iterator[Sequence[Prelabel] | AnnotationError]:
        """Yield the detections for each file, with one batch of images in memory at a time."""
        size = self._batch or self._detector.batch
        for start in range(0, len(files), size):
            read = [_read(file) for file in files[start : start + size]]
            images = [one for one in read if isinstance(one, np.ndarray)]
            found = iter(self._detect(images, classes))
            for one in read:
                yield next(found) if isinstance(one, np.ndarray) else one

    @cached_property
    def _detector(self) -> Detector:
        return Detector.load(self._run.root, self._device)

    def _detect(
        self, images: Sequence[Pixels], classes: Collection[str]
    ) -> Iterable[list[Prelabel]]:
        found = self._detector.predict_all(
            images,
            score=self._score,
            classes=classes,
            tile=self._tile,
            color_order="BGR",
            batch=self._batch,
        )
        return ([Prelabel(*box) for box in one] for one in found)


def _read(file: Path) -> Pixels | AnnotationError:
    try:
        return read_upright(file)
    except AnnotationError as error:
        return error
