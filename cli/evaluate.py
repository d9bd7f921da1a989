"""`sparsedet eval`."""

from pathlib import Path
from typing import Annotated

import typer

from sparsedet.cli.options import Device, Images, Json
from sparsedet.cli.output import emit_json, progress_bar, table


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of a finished training.")],
    data: Annotated[
        str, typer.Option("--data", help="COCO file, workspace folder, or registered name.")
    ],
    images: Images = None,
    device: Device = "auto",
    json_output: Json = False,
) -> None:
    """Measure a trained model: AP, AP50, AP75 and per class, by pycocotools."""
    from sparsedet.annotations import check_images, read_coco
    from sparsedet.datasets import resolve
    from sparsedet.run_folder import RunFolder

    folder = RunFolder(run)
    folder.info()
    source = resolve(data, images)
    dataset = read_coco(source.annotations)
    check_images(dataset, source.images)

    from sparsedet.training.evaluation import evaluate_run
    from sparsedet.training.settings import read_config
    from sparsedet.training.train import choose_device

    with progress_bar() as report:
        result = evaluate_run(
            folder,
            read_config(folder.config),
            dataset,
            source.images,
            device=choose_device(device),
            on_image=lambda done, total: report("evaluating", done, total),
        ).as_json()
    if json_output:
        emit_json(result)
        return
    show_evaluation(result)


def show_evaluation(result: dict[str, object]) -> None:
    """Print the figures of an evaluation as a table."""
    per_class = result["per_class"]
    assert isinstance(per_class, dict)
    rows = [(name, result[name]) for name in ("AP", "AP50", "AP75")]
    rows += [(f"AP {name}", value) for name, value in per_class.items()]
    shown = [(name, "-" if value is None else f"{value:.1f}") for name, value in rows]
    table(f"{result['images']} images, {result['annotations']} annotations", ("", "%"), shown)
