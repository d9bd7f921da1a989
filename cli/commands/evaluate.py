"""`sparsedet eval`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from ..display import progress_bar
from ..options import DATA_HELP, DataRoot, Device, Images, Json, Strict, split_option
from ..output import emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.loop.data_sources import Data
    from sparsedet.run_folder import RunFolder


_ROWS = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "VOC07_AP50": "VOC AP50 (11 recalls)",
    "VOC12_AP50": "VOC AP50 (area)",
}
"""Metric -> display name."""


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Run folder of a finished training, or a workspace: its last round."
        ),
    ],
    data: Annotated[str, typer.Option("--data", help=DATA_HELP)],
    images: Images = None,
    split: Annotated[
        str | None, split_option(default="val if the data has splits, else all images")
    ] = None,
    data_root: DataRoot = None,
    strict: Strict = False,
    device: Device = "auto",
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    json_output: Json = False,
) -> None:
    """Evaluate a trained model.

    Prints AP, AP50, AP75 and the AP of every class, 0 to 100, by pycocotools, and Pascal VOC's
    AP50: 11-point as in VOC2007, and area as since VOC2010. If images are marked as complete for
    some classes only, AP is federated as in LVIS: an unmatched detection is a false positive only
    where its class is complete. Under torchrun, each process evaluates its share of the images.
    """
    from sparsedet.loop.data_sources import FOR_EVALUATION, read_data
    from sparsedet.prediction.detector import find_run

    marks = MarkOptions.of(complete_classes, image_labels, label_names)
    folder = find_run(run)
    names = [name for _, name in folder.info().classes]

    from sparsedet.runtime.processes import first_does, process_group
    from sparsedet.training.engine.train import choose_device

    device = choose_device(device)
    reading = replace(FOR_EVALUATION, split=split, strict=strict)

    def read() -> "Data":
        # A class without boxes can be marked, too: it is absent.
        found = read_data(data, images, data_root, reading)
        return marks.apply_to(replace(found, dataset=found.with_classes(names)))

    with process_group(device):
        source = first_does(read)
        if source.note:
            say(source.note)
        result = evaluate_data(folder, source, device)
    if json_output:
        emit_json(result)
    else:
        show_evaluation(f"{folder.info().method} in {folder.root}", result)


def evaluate_data(run: "RunFolder", data: "Data", device: str) -> dict[str, Any]:
    """Evaluate a run's final model; return metrics by their usual names."""
    from sparsedet.annotations import check_images
    from sparsedet.config.training_config import read_config
    from sparsedet.run_folder import with_common_classes
    from sparsedet.runtime.unreadable import UnreadableImages
    from sparsedet.training.evaluation.average_precision import evaluate_run

    config = read_config(run.config)
    names = [name for _, name in run.info().classes]
    dataset, note = with_common_classes(names, data.with_classes(names), str(data.source))
    if note:
        say(note)
    limit = config.loader.max_unreadable
    check_images(dataset, data.images, UnreadableImages(limit, len(dataset.images)))
    with progress_bar() as report:
        return evaluate_run(
            run,
            config,
            dataset,
            data.images,
            device=device,
            on_image=lambda done, total: report("evaluating", done, total),
        ).as_json()


def show_evaluation(what: str, result: dict[str, Any]) -> None:
    """Print the metrics of `what` as a table."""
    rows = [(shown, result[name]) for name, shown in _ROWS.items()]
    rows += [(f"AP {name}", value) for name, value in result["per_class"].items()]
    shown = [(name, "-" if value is None else f"{value:.1f}") for name, value in rows]
    data = f"{result['images']} images, {result['annotations']} annotations"
    table(f"{what}, {data}", ("", "%"), shown)
    if "federated" in result:
        _say_federated(result["federated"])


def _say_federated(over: dict[str, Any]) -> None:
    say(
        f"AP federated over {over['complete']} complete, {over['absent']} absent and "
        f"{over['incomplete']} incomplete pairs of class and image: an unmatched detection is "
        "wrong only where its class is complete or absent"
    )
    if names := over["complete_nowhere"]:
        say(f"complete or absent on no image, so no detection counts as wrong: {', '.join(names)}")
