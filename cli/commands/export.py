"""`sparsedet export`."""

from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import ExportError
from sparsedet.wording import counted, one_of

from ..display import progress_bar
from ..options import Json, complete_exports
from ..output import echo, emit_json, say

_CHECKED = 100
"""Maximum number of images for comparing the exported file with the original."""


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Run folder of a finished training, or a workspace: its last round."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, as in model.onnx.")
    ],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx or torchscript. Default: onnx for a name that ends in .onnx, else "
            "torchscript.",
            autocompletion=complete_exports,
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            help="Compare the exported file with the original on these images, at most "
            f"{_CHECKED} (a source as for predict). Repeatable.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Export a trained detector to ONNX or TorchScript.

    The exported model takes batches of any size with images of any size, and includes NMS. Writes a
    model card next to the file: classes, input, data, metrics, licence of the initial weights.
    """
    from dataclasses import asdict
    from itertools import islice

    from sparsedet.config.training_config import read_config
    from sparsedet.export.exported import ExportedDetector, difference
    from sparsedet.export.exporting import FORMATS, export_run
    from sparsedet.prediction.detector import Detector, find_run
    from sparsedet.prediction.sources import open_source

    wanted = format or ("onnx" if output.suffix.lower() == ".onnx" else "torchscript")
    chosen = next((known for known in FORMATS if known == wanted), None)
    if chosen is None:
        raise ExportError(f"--format {wanted}: expected {one_of(FORMATS)}")
    source = open_source(check) if check else None
    folder = find_run(run)
    folder.info()  # raises an error if this is not a run
    with progress_bar() as report:
        report(f"exporting {output.name}", 0, 1)
        card = export_run(folder, output, chosen)
        report(f"exporting {output.name}", 1, 1)
        found = None
        if source is not None:
            ours, theirs = Detector.load(folder.root, "cpu"), ExportedDetector.load(output)
            total = min(_CHECKED, source.total or _CHECKED)
            found = difference(
                ours,
                theirs,
                islice(source, _CHECKED),
                lambda done: report("comparing", done, total),
            )
    if json_output:
        emit_json(
            {
                "output": str(output),
                "format": chosen,
                "card": str(card),
                "check": asdict(found) if found else None,
            }
        )
        return
    if read_config(folder.config).model.soft_nms:
        say("the run detects with soft-NMS; the file has NMS instead, and may find fewer objects")
    echo(f"{output}: {output.stat().st_size / 2**20:.1f} MB; model card: {card}")
    if found is not None:
        say(
            f"{counted(found.detections, 'detection')} on {counted(found.images, 'image')}: boxes "
            f"differ by {found.pixels:.4f} pixels at most, scores by {found.scores:.6f}; "
            f"{found.unmatched} are in only one of the two"
        )
