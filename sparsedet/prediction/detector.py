"""A trained detector, ready to use on any image."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import nn

from sparsedet.annotations import read_upright
from sparsedet.annotations.pixels import of_pillow
from sparsedet.config.constraints import LEAST_TILE, tile_side
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import PredictionError, RunError
from sparsedet.loop.workspace import Workspace
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.modeling.detected_classes import detecting_only
from sparsedet.modeling.tiles import Tile, is_cut, merge, views_of
from sparsedet.prediction.found import Found
from sparsedet.run_folder import RunFolder, RunInfo
from sparsedet.training.engine.train import choose_device

ColorOrder = Literal["RGB", "BGR"]
Pixels = NDArray[np.uint8]
Picture = Pixels | str | Path | PIL.Image.Image

SCORE = 0.5
"""Default minimum score of detections."""
_BATCH_ON_GPU = 8

_ARRAY = "expected uint8 of shape (H, W, 3), or (H, W) for grey images"


class Detector:
    """A detector of a finished training.

    Args:
        model: in evaluation mode.
        config: its configuration.
        info: of its run.

    Attributes:
        classes: names by category id of the training data, in the order of the model's outputs.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, info: RunInfo) -> None:
        self._model = model
        self._input = config.input.at_test()
        self._tile = config.input.tile
        self._info = info
        self.classes: dict[int, str] = dict(info.classes)

    @classmethod
    def load(cls, run: str | Path, device: str = "auto") -> "Detector":
        """Load the model of a run folder, or of a workspace's last round with a model.

        Args:
            run: the folder.
            device: auto (CUDA if available), cpu, or cuda.

        Raises:
            SparseDetError: when there is no finished training.
        """
        folder = find_run(Path(run))
        info = folder.info()
        config = read_config(folder.config)
        weights = folder.finished_model()
        model = build_for_inference(config.node, weights, choose_device(device), info.names)
        return cls(model, config, info)

    @property
    def run_id(self) -> str:
        """The run's id, which is the model version of its predictions."""
        return self._info.run_id

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self._model.parameters()).device

    @property
    def batch(self) -> int:
        """Default number of images per network batch."""
        return _BATCH_ON_GPU if self.device.type == "cuda" else 1

    def predict(
        self,
        image: Picture,
        *,
        score: float = SCORE,
        classes: Collection[str] | None = None,
        tile: int | None = None,
        color_order: ColorOrder = "RGB",
    ) -> Found:
        """Detect on one image.

        Args:
            image: an array, uint8 of shape (H, W, 3), or (H, W) for grayscale; a file; or a PIL
                image. EXIF orientation is applied to files and PIL images first.
            score: minimum score, 0 to 1.
            classes: names of the classes to detect; None: all. Others don't count towards the
                model's limit of detections per image.
            tile: side in pixels of tiles for large images; 0: no tiles; None: as in training
                (INPUT.TILE).
            color_order: of arrays: RGB (PIL, matplotlib) or BGR (OpenCV).

        Returns:
            The detections; boxes are XYXY in absolute pixels of the upright image.

        Raises:
            PredictionError: when the image can't be read, or the model lacks a class.
        """
        return self.predict_all(
            [image], score=score, classes=classes, tile=tile, color_order=color_order
        )[0]

    def predict_all(
        self,
        images: Iterable[Picture],
        *,
        score: float = SCORE,
        classes: Collection[str] | None = None,
        tile: int | None = None,
        color_order: ColorOrder = "RGB",
        batch: int | None = None,
    ) -> list[Found]:
        """Detect on images, in order; see `predict`.

        Args:
            images: the images; of an iterator only one batch is in memory at a time.
            score: minimum score.
            classes: the classes to detect.
            tile: side of tiles; 0: no tiles; None: as in training.
            color_order: of arrays.
            batch: images, or tiles, per network batch. None: 8 on a GPU, where that is faster; else
                1.
        """
        wanted = self._wanted(classes)
        size = batch or self.batch
        side = self._tile if tile is None else _tile_side(tile)
        found: list[Found] = []
        with detecting_only(wanted):
            for group in _groups(images, size):
                pixels = [as_bgr(image, color_order) for image in group]
                if side:
                    found += [self._tiled(one, side, size) for one in pixels]
                else:
                    found += self._whole(pixels)
        return [one.select(one.scores >= score) for one in found]

    def _wanted(self, names: Collection[str] | None) -> list[int]:
        """Return the model's outputs for classes by name."""
        if names is None:
            return list(range(len(self.classes)))
        outputs = {name: index for index, name in enumerate(self.classes.values())}
        if unknown := sorted(set(names) - outputs.keys()):
            raise PredictionError(
                f"the model has no class {unknown[0]!r} (it has {', '.join(outputs)})"
            )
        return [outputs[name] for name in names]

    def _whole(self, images: Sequence[Pixels]) -> list[Found]:
        """Detect on BGR images in one network batch."""
        with torch.inference_mode():
            outputs = self._model([self._input.of(image) for image in images])
        return [
            self._found(one["instances"], image) for one, image in zip(outputs, images, strict=True)
        ]

    def _found(self, instances: Any, image: Pixels) -> Found:
        instances = instances.to("cpu")
        ids = np.array(list(self.classes), dtype=np.int64)
        return Found(
            boxes=instances.pred_boxes.tensor.numpy().astype(np.float64),
            scores=instances.scores.numpy().astype(np.float64),
            class_ids=ids[instances.pred_classes.numpy()],
            classes=self.classes,
            width=image.shape[1],
            height=image.shape[0],
        )

    def _tiled(self, image: Pixels, side: int, batch: int) -> Found:
        """Detect on an image's tiles and the whole image, and merge the detections."""
        height, width = image.shape[:2]
        whole = Tile(0, 0, width, height)
        tiles = [tile for tile in views_of(width, height, side) if tile is not None]
        parts: list[tuple[Tile, Found]] = [(whole, self._whole([image])[0])]
        for group in _groups(tiles, batch):
            crops = [image[t.top : t.bottom, t.left : t.right] for t in group]
            parts += zip(group, self._whole(crops), strict=True)
        boxes = [found.boxes + np.array([t.left, t.top] * 2) for t, found in parts]
        cut = [is_cut(own, t, width, height) for own, (t, _) in zip(boxes, parts, strict=True)]
        everything = Found(
            np.concatenate(boxes),
            np.concatenate([found.scores for _, found in parts]),
            np.concatenate([found.class_ids for _, found in parts]),
            self.classes,
            width,
            height,
        )
        numbers = np.repeat(np.arange(len(parts)), [len(own) for own in boxes])
        kept = merge(
            everything.boxes,
            everything.scores,
            everything.class_ids,
            np.concatenate(cut),
            numbers,
        )
        return everything.select(kept)


def _tile_side(pixels: int) -> int:
    """Return the side of tiles; raise if it would give a myriad of them."""
    try:
        return tile_side(pixels)
    except ValueError as error:
        raise PredictionError(
            f"tiles of {pixels} pixels: expected 0, or a side of {LEAST_TILE} pixels or more"
        ) from error


def find_run(folder: Path) -> RunFolder:
    """Return the run of a folder: itself, or a workspace's newest finished one.

    Raises:
        RunError: when there is none.
    """
    workspace = Workspace(folder)
    if not workspace.settings_file.is_file():
        return RunFolder(folder)
    finished = [round.run for round in workspace.all_rounds() if round.run.model.is_file()]
    if not finished:
        raise RunError(f"{folder}: no round has a model yet: run `sparsedet round {folder}`")
    return finished[-1]


def as_bgr(image: Picture, color_order: ColorOrder = "RGB") -> Pixels:
    """Return an image's pixels: uint8 of shape (H, W, 3), BGR.

    Raises:
        PredictionError: when it can't be read, or has another type or shape, or no such order.
    """
    if isinstance(image, str | Path):
        return read_upright(Path(image))
    if color_order not in get_args(ColorOrder):
        raise PredictionError(f"color order {color_order!r}: expected RGB or BGR")
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
            raise PredictionError(f"an array of {image.dtype} and shape {image.shape}: {_ARRAY}")
        if image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        if image.shape[2] != 3:
            raise PredictionError(f"an array of {image.dtype} and shape {image.shape}: {_ARRAY}")
        return np.ascontiguousarray(image[..., ::-1] if color_order == "RGB" else image)
    if not isinstance(image, PIL.Image.Image):
        raise PredictionError(
            f"can't detect on a {type(image).__name__}: expected an array, a path, or a PIL image"
        )
    return of_pillow(image)


def _groups(things: Iterable[Any], size: int) -> Iterable[list[Any]]:
    group: list[Any] = []
    for thing in things:
        group.append(thing)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
