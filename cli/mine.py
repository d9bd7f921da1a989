"""`sparsedet mine`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DATA_HELP, DataRoot, Device, Images, Json
from .output import MINED, check_replaceable, emit_json, progress_bar, say, table

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.loop.data_sources import Data


def mine(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a finished training.")],
    data: Annotated[str, typer.Option("--data", help=DATA_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File for the mined boxes; only replaces an older one."
        ),
    ],
    images: Images = None,
    data_root: DataRoot = None,
    quantile: Annotated[
        float | None,
        typer.Option(
            "--quantile",
            min=0.0,
            max=1.0,
            help="Quantile of the scores on human boxes that a detection has to reach. "
            "Default: the configuration's.",
        ),
    ] = None,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Find the boxes that the annotators missed.

    They are the detections that no annotation explains and whose score is high enough. Every class
    has a threshold of its own: a low quantile of the model's scores on the boxes that people drew.
    Under torchrun every process takes its share of the images.
    """
    from sparsedet.annotations import check_images
    from sparsedet.loop.data_sources import read_data
    from sparsedet.run_folder import RunFolder

    check_replaceable(output, MINED)
    folder = RunFolder(run)
    info = folder.info()
    from sparsedet.annotations.mined_boxes import write_mined
    from sparsedet.config.training_config import read_config
    from sparsedet.mining.mine import mine as mine_dataset
    from sparsedet.mining.mine import mined_meta
    from sparsedet.runtime.processes import first_does, is_first, process_group
    from sparsedet.runtime.unreadable import UnreadableImages
    from sparsedet.training.engine.train import choose_device

    device = choose_device(device)
    config = read_config(folder.config)
    if quantile is not None:
        config = config.with_values({"SPARSEDET.MINING.QUANTILE": quantile})

    def read() -> tuple["Data", "Dataset"]:
        source = read_data(data, images, data_root)
        dataset = source.with_classes(name for _, name in info.classes)
        limit = config.loader.max_unreadable
        check_images(dataset, source.images, UnreadableImages(limit, len(dataset.images)))
        return source, dataset

    with process_group(device), progress_bar() as report:
        source, dataset = first_does(read)
        result = mine_dataset(
            folder,
            config,
            dataset,
            source.images,
            device=device,
            on_image=lambda done, total: report("mining", done, total),
        )
        meta = {**mined_meta(folder, config, dataset, result), "data": data}
        if is_first():
            write_mined(result.mined, meta, output)
    names = {category.id: category.name for category in dataset.categories}
    thresholds = meta["thresholds"]
    counts = dict.fromkeys(names.values(), 0)
    for box in result.mined:
        counts[names[box.category_id]] += 1
    if json_output:
        emit_json({"mined": len(result.mined), "per_class": counts, "thresholds": thresholds})
        return
    table(
        f"{len(result.mined)} mined boxes in {output}",
        ("class", "threshold", "mined"),
        [(name, f"{thresholds[name]:.2f}", counts[name]) for name in counts],
    )
    if not result.mined:
        say("nothing mined: --quantile lowers the thresholds (0.1, say)")
    elif source.format != "coco":
        say(
            "boxes for review are mined on a pull: sparsedet init WORK --tool files --url . "
            f"--project {data}, then sparsedet round WORK"
        )
    else:
        say(f"next: sparsedet push {output} --data {data}")
