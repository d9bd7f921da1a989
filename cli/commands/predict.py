"""`sparsedet predict`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.wording import counted

from ..display import progress_bar
from ..options import DEFAULT_TOOL, Device, Json, complete_outputs, tool_option, url_option
from ..output import RESULTS, check_replaceable, emit_json, say, table

_PANEL = "Pre-labels in an annotation tool"


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
            metavar="SOURCE",
            help="Image files, folders or patterns ('photos/*.jpg'); or a COCO file, a video, or a "
            "camera number.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="NAME.json for COCO results, NAME.mp4 for a video, or a folder for images with "
            "drawn boxes or for labels (--format).",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="results, pictures, video, yolo, voc, or label-studio (tasks to import, with "
            "scores). Default: inferred from the output's name.",
            autocompletion=complete_outputs,
        ),
    ] = None,
    score: Annotated[float, typer.Option("--score", min=0.0, max=1.0, help="Minimum score.")] = 0.5,
    classes: Annotated[
        list[str] | None, typer.Option("--classes", help="Only this class. Repeatable.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile",
            min=0,
            help="Cut images into overlapping tiles of this size in pixels, to find small objects "
            "in large images; 0: no tiles. Default: as in the training.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Image folder of a COCO file.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Batch size. Default: 1, or 8 on a GPU."),
    ] = None,
    device: Device = "auto",
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="PROJECT",
            help="Instead of SOURCE: pre-label this project's unannotated tasks. Repeat it for new "
            "tasks, or with a newer model, whose boxes replace the older ones.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only report the changes.", rich_help_panel=_PANEL),
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Delete pre-labels from tasks that are still unannotated.",
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

    Unreadable images are skipped with a warning. A camera runs until Ctrl-C.
    """
    if push is not None:
        if sources or output or format or images:
            raise SparseDetError(
                "--push uses the project's images; drop SOURCE, -o, --format and --images"
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
        raise SparseDetError("--dry-run and --undo need --push PROJECT")
    if not sources or output is None:
        raise SparseDetError(
            "missing input or output: pass SOURCE... and -o OUTPUT, or --push PROJECT"
        )
    _check_output(output, sources)
    from sparsedet.prediction.detector import Detector
    from sparsedet.prediction.outputs import DrawnPictures, choose_output
    from sparsedet.prediction.predicting import predict_source
    from sparsedet.prediction.sources import looks_into, open_source

    source = open_source(sources, images)
    detector = Detector.load(run, device)
    target = choose_output(output, format, detector.classes, source.frame_rate, source.names)
    inside = next((text for text in sources if looks_into(text, output)), None)
    if inside is not None and isinstance(target, DrawnPictures):
        raise SparseDetError(
            f"{output}: is in {inside}, so the next command would detect on the drawn images, too; "
            "choose a folder outside of it with -o"
        )
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
        f"{counted(sum(counts.values()), 'detection')} on {counted(done, 'image')} in {output}, "
        f"{done / seconds:.1f} images/s",
        ("class", "detections"),
        list(counts.items()),
    )
    if done and not any(counts.values()) and score > 0:
        say(f"no detection has a score of {score:g} or more: try --score {score / 5:g}")


def _check_output(output: Path, sources: Sequence[str]) -> None:
    """Refuse to overwrite the input, or a JSON file that is no older result."""
    from sparsedet.mining.detection_file import IMAGES_SUFFIX

    written = [output]
    if output.suffix.lower() == ".json":
        written.append(output.with_suffix(IMAGES_SUFFIX))
    for path in written:
        if path.exists() and any(Path(one).exists() and path.samefile(one) for one in sources):
            raise SparseDetError(f"{path}: is the input as well; choose another output with -o")
    if output.suffix.lower() == ".json":
        check_replaceable(output, RESULTS)
        _check_listing(written[-1])


def _check_listing(path: Path) -> None:
    """Refuse to overwrite a file that does not look like an older list of a result's images."""
    from sparsedet.reading import read_json

    if path.exists():
        with suppress(SparseDetError):  # no JSON
            content = read_json(path)
            is_ours = isinstance(content, dict) and content.keys() == {
                "images",
                "annotations",
                "categories",
            }
            if is_ours and not content["annotations"]:
                return
        raise SparseDetError(
            f"{path}: already exists and is not a list of images of sparsedet predict, which is "
            "written next to results; not overwritten, choose another file with -o"
        )
