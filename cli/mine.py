"""`sparsedet mine`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .display import progress_bar
from .options import DATA_HELP, DataRoot, Device, Images, Json
from .output import MINED, check_replaceable, emit_json, say, table

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
    target_precision: Annotated[
        float | None,
        typer.Option(
            "--target-precision",
            min=0.0,
            max=1.0,
            help="Mine as many boxes as together are expected to have this precision. Default: "
            "every box that is more likely to save a reviewer's time than to cost some.",
        ),
    ] = None,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Find the boxes that the annotators missed.

    They are detections that no annotation explains. Each has an expected precision, the chance that
    a reviewer accepts it, calibrated by the annotations of DATA that the run was not trained on.
    """
    from sparsedet.annotations import check_images
    from sparsedet.loop.data_sources import read_data
    from sparsedet.run_folder import RunFolder

    check_replaceable(output, MINED)
    folder = RunFolder(run)
    info = folder.info()
    from sparsedet.annotations.mined_boxes import write_mined
    from sparsedet.completeness.costs import ReviewCosts
    from sparsedet.completeness.proposals import mine_proposals, proposals_meta
    from sparsedet.completeness.selection import Selection
    from sparsedet.config.training_config import read_config
    from sparsedet.runtime.processes import first_does, is_first, process_group
    from sparsedet.runtime.unreadable import UnreadableImages
    from sparsedet.training.engine.train import choose_device

    device = choose_device(device)
    config = read_config(folder.config)

    def read() -> tuple["Data", "Dataset"]:
        source = read_data(data, images, data_root)
        dataset = source.with_classes(name for _, name in info.classes)
        limit = config.loader.max_unreadable
        check_images(dataset, source.images, UnreadableImages(limit, len(dataset.images)))
        return source, dataset

    with process_group(device), progress_bar() as report:
        source, dataset = first_does(read)
        report("mining", 0, len(dataset.images))
        found = mine_proposals(
            folder,
            config,
            dataset,
            source.images,
            device=device,
            selection=Selection(ReviewCosts(), target_precision),
            on_image=lambda done, total: report("mining", done, total),
        )
        meta = {**proposals_meta(found, folder, dataset), "data": data}
        if is_first():
            write_mined(found.mined, meta, output)
    counts = Counter(box.category_id for box in found.mined)
    rows = [
        (
            category.name,
            counts[category.id],
            found.held_back[category.id],
            round(found.held_back_right[category.id]),
        )
        for category in dataset.categories
    ]
    if json_output:
        emit_json(
            {
                "mined": len(found.mined),
                "per_class": {name: mined for name, mined, _, _ in rows},
                "held_back": {name: held for name, _, held, _ in rows},
                "limit": meta["limit"],
            }
        )
        return
    table(
        f"{len(found.mined)} mined boxes in {output}",
        ("class", "mined", "held back", "of these right"),
        rows,
    )
    if not found.fitted.hidden:
        say(
            "the run was trained on every annotation of the data, so the expected precisions rest "
            "on experience with other data; rounds hide some (sparsedet round)"
        )
    if not found.mined:
        say("nothing mined: a lower --target-precision finds more (0.5, say), or longer training")
    elif source.format != "coco":
        say(
            "boxes for review are mined on a pull: sparsedet init WORK --tool files --url . "
            f"--project {data}, then sparsedet round WORK"
        )
    else:
        say(f"next: sparsedet push {output} --data {data}")
