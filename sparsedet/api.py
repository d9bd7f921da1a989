"""The Python API: the commands as functions.

`import sparsedet` imports nothing heavy; torch is imported by the first function that needs it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace
from sparsedet.run_folder import RunFolder

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.annotations.mined_boxes import MinedBox
    from sparsedet.prediction.detector import Detector
    from sparsedet.training.engine.callbacks import Callbacks

__all__ = ["RunFolder", "SparseDetError", "Workspace", "load", "mine", "read", "split", "train"]


def load(run: str | Path, device: str = "auto") -> "Detector":
    """Load a trained detector.

    Args:
        run: run folder of a finished training, or a workspace (the model of its last round).
        device: auto (CUDA if available), cpu, or cuda.

    Raises:
        SparseDetError: when there is no finished training.
    """
    from sparsedet.prediction.detector import Detector

    return Detector.load(run, device)


def read(data: str | Path, images: str | Path | None = None) -> "tuple[Dataset, Path]":
    """Read annotated images.

    Args:
        data: a COCO file, a workspace, or a Pascal VOC or YOLO folder.
        images: the image folder, if not in the usual location.

    Returns:
        The dataset with all of its splits, and the folder that its file names are relative to.

    Raises:
        SparseDetError: when nothing is there, or it can't be read.
    """
    from sparsedet.loop.data_sources import read_data

    found = read_data(str(data), _path(images))
    return found.dataset, found.images


def split(
    data: str | Path,
    output: str | Path,
    *,
    recipe: str | None = "random",
    drop: float | None = None,
    val: float | None = None,
    seed: int = 1,
    images: str | Path | None = None,
) -> Mapping[str, Any]:
    """Make a sparse split, or hold out images for validation, as `sparsedet split` does.

    Does not look for near duplicates.

    Args:
        data: what to split; see `read`. If it has splits, `train` is used.
        output: the folder to create, with `train.json`, `removed.json`, `val.json` and
            `split.json`.
        recipe: name or file of the removal recipe; None removes no boxes.
        drop: share of the boxes to remove, 0 to 1; None: as in the recipe.
        val: share of the images to hold out, 0 to 1; None: none.
        seed: the same seed gives the same split.
        images: the image folder.

    Returns:
        The content of `split.json`.

    Raises:
        SparseDetError: when the folder exists with other content, or the recipe can't be applied.
    """
    from sparsedet.atomic_io import atomic_folder
    from sparsedet.loop.data_sources import FOR_TRAINING, read_data
    from sparsedet.sparsify import Validation, load_recipe, make_split
    from sparsedet.sparsify.split import describe_split, write_split

    dataset = read_data(str(data), _path(images), reading=FOR_TRAINING).dataset
    chosen = None if recipe is None else load_recipe(recipe)
    if chosen is not None and drop is not None:
        chosen = chosen.with_drop(drop)
    held_out = None if val is None else Validation(val, None)
    with atomic_folder(Path(output)) as folder:
        made = make_split(dataset, chosen, held_out, seed)
        record = describe_split(
            made, dataset, source=str(data), recipe=chosen, val=held_out, seed=seed
        )
        write_split(made, record, folder)
    return record


def train(
    data: str | Path,
    output: str | Path,
    *,
    images: str | Path | None = None,
    config: str | Path = "lite0_fpn",
    overrides: Sequence[str] = (),
    method: str | None = None,
    seed: int = 1,
    device: str = "auto",
    callbacks: "Callbacks | None" = None,
) -> RunFolder:
    """Train a detector on sparse annotations, as `sparsedet train` does.

    Called again with the same arguments, it resumes an interrupted run, and returns a finished one;
    only `images` may differ, after they were moved.

    Args:
        data: the training data; see `read`. If it has splits, `train` is used.
        output: the run folder.
        images: the image folder.
        config: name or file of the configuration, or `auto`, which chooses image size, anchors and
            tiles by the boxes.
        overrides: keys and values in turn, such as `("SOLVER.MAX_ITER", "400")`.
        method: plain, augmented, end-to-end, or staged; None: as in the configuration.
        seed: the random seed.
        device: auto (CUDA if available), cpu, or cuda.
        callbacks: callbacks for training progress.

    Raises:
        SparseDetError: when the data or the configuration is invalid, the folder holds another run,
            or another process is training it.
    """
    from sparsedet.config.auto import config_to_resume, config_to_start
    from sparsedet.config.training_config import load_config, read_config
    from sparsedet.loop.data_sources import FOR_TRAINING, read_data
    from sparsedet.training.data.samples import without_versions
    from sparsedet.training.engine.train import (
        check_same_run,
        choose_device,
        run_training,
        start_run,
        use_images,
    )

    found = read_data(str(data), _path(images), reading=FOR_TRAINING)
    dataset, folder = found.dataset, found.images
    pairs, name = [str(item) for item in overrides], str(config)
    wanted = method or load_config(name, pairs).model.method
    chosen = choose_device(device)
    run = RunFolder(Path(output))
    if run.info_file.exists():
        settings = config_to_resume(name, pairs, read_config(run.config))
        check_same_run(
            run,
            method=wanted,
            seed=seed,
            dataset=without_versions(dataset),
            config=settings.prepared(method=wanted, seed=seed, classes=len(dataset.categories)),
            validation=None,
        )
        use_images(run, None if images is None else folder)
    else:
        start_run(
            config_to_start(name, pairs, dataset, chosen).config,
            run,
            dataset,
            folder,
            source=Path(data),
            method=wanted,
            seed=seed,
            device=chosen,
        )
    run_training(run, device=chosen, callbacks=callbacks)
    return run


def mine(
    run: str | Path,
    data: str | Path,
    *,
    images: str | Path | None = None,
    target_precision: float | None = None,
    device: str = "auto",
) -> "tuple[MinedBox, ...]":
    """Find boxes that the annotators missed, as `sparsedet mine` does.

    Args:
        run: run folder of a finished training, or a workspace (the model of its last round).
        data: the annotations; see `read`.
        images: the image folder.
        target_precision: minimum expected share of right boxes, 0 to 1; None: whatever saves
            reviewers time.
        device: auto, cpu, or cuda.

    Returns:
        Mined boxes, each with its expected precision; XYXY in absolute pixels.

    Raises:
        SparseDetError: when the run has not finished, or the data has other classes.
    """
    from sparsedet.annotations import check_images
    from sparsedet.completeness.costs import ReviewCosts
    from sparsedet.completeness.proposals import mine_proposals
    from sparsedet.completeness.selection import Selection
    from sparsedet.config.training_config import read_config
    from sparsedet.loop.data_sources import FOR_MINING, read_data
    from sparsedet.prediction.detector import find_run
    from sparsedet.run_folder import check_classes
    from sparsedet.runtime.unreadable import UnreadableImages
    from sparsedet.training.engine.train import choose_device

    folder = find_run(Path(run))
    source = read_data(str(data), _path(images), reading=FOR_MINING)
    names = [name for _, name in folder.info().classes]
    dataset = source.with_classes(names)
    check_classes(names, dataset, str(source.source))
    config = read_config(folder.config)
    limit = config.loader.max_unreadable
    check_images(dataset, source.images, UnreadableImages(limit, len(dataset.images)))
    found = mine_proposals(
        folder,
        config,
        dataset,
        source.images,
        device=choose_device(device),
        selection=Selection(ReviewCosts(), target_precision),
    )
    return found.mined


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
