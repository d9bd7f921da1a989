"""`sparsedet predict`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import SparseDetError

from .display import progress_bar
from .options import DEFAULT_TOOL, Device, Json, complete_outputs, tool_option, url_option
from .output import emit_json, table

_PANEL = "In an annotation tool"


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Run folder of a finished training, or a workspace: its last round."
        ),
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Image files, folders, patterns ('photos/*.jpg'); or one COCO file, one video, or "
            "the number of a camera.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="NAME.json for COCO results, NAME.mp4 for a video, or a folder for pictures with "
            "boxes, or for labels (--format).",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="results, pictures, video, yolo, voc, or label-studio (tasks to import, with "
            "scores). Default: what the output's name says.",
            autocompletion=complete_outputs,
        ),
    ] = None,
    score: Annotated[
        float, typer.Option("--score", min=0.0, max=1.0, help="Least score of a detection.")
    ] = 0.5,
    classes: Annotated[
        list[str] | None, typer.Option("--classes", help="Only this class; can be repeated.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile",
            min=64,
            help="Cut images into tiles of so many pixels, for small objects in large images. "
            "Default: as in the training.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Image folder of a COCO file.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Images at a time. Default: 1, on a GPU 8."),
    ] = None,
    device: Device = "auto",
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="PROJECT",
            help="Instead of SOURCE: pre-label the tasks of this project that nobody has "
            "annotated. Again for new tasks, or with a newer model, whose boxes replace the older.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done.", rich_help_panel=_PANEL),
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Take pre-labels back from tasks that still nobody has annotated.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    tool: Annotated[
        str, tool_option("The annotation tool's integration.", panel=_PANEL)
    ] = DEFAULT_TOOL,
    url: Annotated[str | None, url_option(_PANEL)] = None,
    json_output: Json = False,
) -> None:
    """Detect objects on new images, or pre-label a project.

    Images that can't be read are left out with a warning. A camera runs until Ctrl-C.
    """
    if push is not None:
        if sources or output or format or images:
            raise SparseDetError(
                "--push takes the images of the project; leave out SOURCE, -o, --format and "
                "--images"
            )
        from .prelabels import push_prelabels, take_back

        if undo:
            take_back(run, push, tool, url, dry_run=dry_run, json_output=json_output)
            return
        push_prelabels(
            run,
            push,
            tool,
            url,
            score=score,
            classes=classes,
            tile=tile,
            batch=batch,
            device=device,
            dry_run=dry_run,
            json_output=json_output,
        )
        return
    if dry_run or undo:
        raise SparseDetError("--dry-run and --undo belong to --push PROJECT")
    if not sources or output is None:
        raise SparseDetError(
            "what on, and where to? Give SOURCE... and -o OUTPUT, or --push PROJECT"
        )
    from sparsedet.prediction.detector import Detector
    from sparsedet.prediction.outputs import choose_output
    from sparsedet.prediction.predicting import predict_source
    from sparsedet.prediction.sources import open_source

    source = open_source(sources, images)
    detector = Detector.load(run, device)
    target = choose_output(output, format, detector.classes, source.frame_rate)
    start = time.monotonic()
    with progress_bar() as report:
        counts = predict_source(
            detector,
            source,
            target,
            score=score,
            classes=classes,
            tile=tile,
            batch=batch,
            on_image=lambda done, total: report("detecting", done, total or done),
        )
    seconds = time.monotonic() - start
    done = counts.pop("")
    if json_output:
        emit_json(
            {
                "images": done,
                "detections": sum(counts.values()),
                "per_class": counts,
                "images_per_second": round(done / seconds, 2),
                "output": str(output),
            }
        )
        return
    table(
        f"{sum(counts.values())} detections on {done} images in {output}, "
        f"{done / seconds:.1f} images/s",
        ("class", "detections"),
        list(counts.items()),
    )
