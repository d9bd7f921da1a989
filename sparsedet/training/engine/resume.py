"""Going on with a run: what is given again has to be what the run was started with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from detectron2.config import CfgNode

from sparsedet.annotations import Dataset, check_images, read_coco
from sparsedet.annotations.coco import to_coco
from sparsedet.errors import RunError
from sparsedet.runtime.unreadable import UnreadableImages
from sparsedet.training.config.loading import read_config
from sparsedet.training.run_folder import RunFolder

_PLACE_KEYS = {"MODEL.DEVICE", "OUTPUT_DIR"}
"""Where a run happens does not change its result."""
_NAMED_IN_ERRORS = 3


def check_same_run(
    run: RunFolder,
    *,
    method: str | None,
    seed: int | None,
    dataset: Dataset | None,
    cfg: CfgNode | None,
    validation: Dataset | None = None,
) -> None:
    """Check what a resuming call says again against the run; None was not said.

    Args:
        run: the run to go on with.
        method: the training method.
        seed: the seed.
        dataset: the training annotations.
        cfg: the configuration that `prepare_config` makes of what was given.
        validation: the validation annotations.

    Raises:
        RunError: naming what differs.
    """
    info = run.info()
    differing = []
    if method is not None and method != info.method:
        differing.append(f"the run's method is {info.method}, not {method}")
    if seed is not None and seed != info.seed:
        differing.append(f"the run's seed is {info.seed}, not {seed}")
    # As files: reading back rounds coordinates and fills in areas.
    if dataset is not None and to_coco(dataset) != to_coco(read_coco(run.training_data)):
        differing.append("the training annotations are not those that the run started with")
    if validation is not None and read_config(run.config).TEST.EVAL_PERIOD > 0:
        known = read_coco(run.validation_data) if run.validation_data.exists() else None
        if known is None or to_coco(validation) != to_coco(known):
            differing.append("the run is not measured on the validation annotations on its way")
    if cfg is not None:
        keys = list(_differing_keys(cfg, read_config(run.config)))
        if keys:
            named = ", ".join(keys[:_NAMED_IN_ERRORS])
            differing.append(f"the run's configuration has other values of {named}")
    if differing:
        raise RunError(
            f"{run.root}: can't go on with it: {'; '.join(differing)}; leave these options out, "
            "or start another run with another -o"
        )


def use_images(run: RunFolder, images: Path) -> None:
    """Go on with images that were moved to another folder."""
    dataset = read_coco(run.training_data)
    limit: int = read_config(run.config).DATALOADER.MAX_UNREADABLE
    check_images(dataset, images, UnreadableImages(limit, len(dataset.images)))
    info, place = run.info(), str(images.resolve())
    moved = info.validation_images is not None and not Path(info.validation_images).is_dir()
    run.write_info(
        replace(info, images=place, validation_images=place if moved else info.validation_images)
    )


def _differing_keys(first: CfgNode, second: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in first.items():
        name = prefix + key
        if isinstance(value, CfgNode):
            yield from _differing_keys(value, second[key], name + ".")
        elif name not in _PLACE_KEYS and _plain(value) != _plain(second[key]):
            yield name


def _plain(value: object) -> object:
    """Return nested tuples as lists: a file does not tell the two apart."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
