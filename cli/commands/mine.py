"""`sparsedet mine`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.run_folder import RunFolder
from sparsedet.wording import counted

from ..class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from ..display import progress_bar
from ..options import DATA_HELP, DataRoot, Device, Images, Json, Split, Strict
from ..output import MINED, check_replaceable, emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.completeness.proposals import Proposals
    from sparsedet.completeness.selection import Selection
    from sparsedet.loop.data_sources import Data
    from sparsedet.push_modes import Progress

    Opinion = tuple[Proposals, dict[str, Any]]


def mine(
    data: Annotated[str, typer.Option("--data", help=DATA_HELP)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Output file; overwrites only older mined boxes."),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder of a finished training, or a workspace: its last round. Not needed "
            "with --detections.",
            show_default=False,
        ),
    ] = None,
    images: Images = None,
    split: Split = None,
    data_root: DataRoot = None,
    strict: Strict = False,
    target_precision: Annotated[
        float | None,
        typer.Option(
            "--target-precision",
            min=0.0,
            max=1.0,
            help="Mine as many boxes as possible at this expected overall precision. Default: "
            "every box that is likely to save more review time than it costs.",
        ),
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            help="COCO results of another model as candidates, instead of RUN or in addition.",
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="THEIRS=OURS",
            help="Map a class name or id in --detections to the data's class; THEIRS= leaves the "
            "class out. Repeatable.",
        ),
    ] = None,
    device: Device = "auto",
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    json_output: Json = False,
) -> None:
    """Find the boxes that annotators missed.

    Mined boxes are detections that match no annotation. Each has an expected precision: the
    probability that a reviewer accepts it, calibrated on annotations of DATA that were hidden from
    the training.
    """
    marks = MarkOptions.of(complete_classes, image_labels, label_names)
    check_replaceable(output, MINED)
    if run is None and detections is None:
        raise SparseDetError("missing model: pass a run folder, or detections with --detections")
    names = _table(map_ or ())
    if names and detections is None:
        raise SparseDetError("--map needs --detections, whose classes it maps")
    from sparsedet.annotations.mined_boxes import write_mined
    from sparsedet.completeness.costs import ReviewCosts
    from sparsedet.completeness.second_opinions import together
    from sparsedet.completeness.selection import Selection
    from sparsedet.loop.data_sources import FOR_MINING, read_data
    from sparsedet.mining.detection_file import class_names
    from sparsedet.prediction.detector import find_run
    from sparsedet.runtime.processes import first_does, is_first, process_group
    from sparsedet.training.engine.train import choose_device

    folder = None if run is None else find_run(run)
    if folder is not None:
        folder.info()
    device = choose_device(device)
    selection = Selection(ReviewCosts(), target_precision)
    opinions: list[Opinion] = []
    with process_group(device), progress_bar() as report:
        reading = replace(FOR_MINING, split=split, strict=strict)
        source = first_does(lambda: read_data(data, images, data_root, reading))
        dataset = source.dataset
        if folder is not None:
            dataset, own = _by_run(folder, source, marks, selection, device, report)
            opinions.append(own)
        if detections is not None:
            if folder is None:
                dataset = marks.apply(source.with_classes(class_names(detections, names)))
            opinions.append(_by_file(detections, dataset, selection, names))
        mined = together([found.mined for found, _ in opinions])
        meta = {key: value for _, one in reversed(opinions) for key, value in one.items()}
        meta |= {"data": data}
        if is_first():
            write_mined(mined, meta, output)
    counts = Counter(box.category_id for box in mined)
    rows = [
        (
            category.name,
            counts[category.id],
            sum(found.held_back[category.id] for found, _ in opinions),
            round(sum(found.held_back_right[category.id] for found, _ in opinions)),
        )
        for category in dataset.categories
    ]
    if json_output:
        emit_json(
            {
                "mined": len(mined),
                "per_class": {name: count for name, count, _, _ in rows},
                "held_back": {name: held for name, _, held, _ in rows},
            }
        )
        return
    table(
        f"{counted(len(mined), 'mined box')} in {output}",
        ("class", "mined", "held back", "of these right"),
        rows,
    )
    if folder is not None and not opinions[0][0].fitted.hidden:
        say(
            "the run was trained on every annotation of this data, so the expected precisions are "
            "priors from other data; `sparsedet round` hides some annotations to calibrate them"
        )
    if not mined:
        say("nothing mined: lower --target-precision (for example to 0.5), or train longer")
    elif source.format != "coco":
        say(
            "to review boxes, run rounds in a workspace: sparsedet init WORK --tool files --url . "
            f"--project {data}, then sparsedet round WORK"
        )
    else:
        say(f"next: sparsedet push {output} --data {data}")


def _by_run(
    folder: RunFolder,
    source: "Data",
    marks: MarkOptions,
    selection: "Selection",
    device: str,
    report: "Progress",
) -> "tuple[Dataset, Opinion]":
    """Return the data with all classes of a run, and the boxes that its model proposes."""
    from sparsedet.annotations import check_images
    from sparsedet.completeness.proposals import mine_proposals, proposals_meta
    from sparsedet.config.training_config import read_config
    from sparsedet.run_folder import check_classes
    from sparsedet.runtime.processes import first_does
    from sparsedet.runtime.unreadable import UnreadableImages

    config = read_config(folder.config)

    def checked() -> "Dataset":
        names = [name for _, name in folder.info().classes]
        dataset = marks.apply(source.with_classes(names))
        check_classes(names, dataset, str(source.source))
        limit = config.loader.max_unreadable
        check_images(dataset, source.images, UnreadableImages(limit, len(dataset.images)))
        return dataset

    dataset = first_does(checked)
    report("mining", 0, len(dataset.images))
    found = mine_proposals(
        folder,
        config,
        dataset,
        source.images,
        device=device,
        selection=selection,
        on_image=lambda done, total: report("mining", done, total),
    )
    return dataset, (found, proposals_meta(found, folder, dataset))


def _by_file(
    file: Path, dataset: "Dataset", selection: "Selection", names: Mapping[str, str]
) -> "Opinion":
    """Return the boxes that a file of detections proposes."""
    from sparsedet.completeness.second_opinions import second_opinion, second_opinion_meta

    found = second_opinion(file, dataset, selection, names)
    return found, second_opinion_meta(file, found, dataset)


def _table(pairs: Sequence[str]) -> dict[str, str]:
    """Parse `--map`: their class -> our class."""
    names: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not theirs or not equals:
            raise SparseDetError(f"--map {pair}: expected THEIRS=OURS, as in: --map 17=orange")
        names[theirs] = ours
    return names
