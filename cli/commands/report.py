"""`sparsedet report`."""

from pathlib import Path
from typing import Annotated

import typer

from sparsedet.loop.workspace import Workspace

from ..options import Json
from ..output import REPORT, check_replaceable, emit_json, say


def report(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder.")] = Path(),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="HTML file to write; overwrites only an older page. Default: report.html in the "
            "workspace.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Heading. Default: the workspace folder's name.")
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, help="Number of images per round.")
    ] = 6,
    crops: Annotated[
        int,
        typer.Option(
            "--crops",
            min=0,
            help="Number of mined boxes per class: of the most certain, the most doubtful and the "
            "rejected ones each. Fewer if there are many classes, to keep the page small.",
        ),
    ] = 6,
    json_output: Json = False,
) -> None:
    """Write an HTML page about the rounds of a workspace.

    The page has curves, tables and pictures. It is self-contained, so it can be mailed or archived;
    note that it includes class names, file names and some of your images. Pictures link to their
    tasks if the annotation tool has a web address. No connection is needed.
    """
    from sparsedet.reporting.report import write_report

    path = output or folder / "report.html"
    if output is not None:
        check_replaceable(output, REPORT)
    name = folder.resolve().name
    write_report(
        Workspace(folder),
        path,
        title=title or f"Annotation rounds: {name}",
        shown_images=pictures,
        shown_crops=crops,
    )
    if json_output:
        emit_json({"report": str(path.resolve())})
    else:
        say(f"wrote {path}; open it in a browser: {path.resolve().as_uri()}")
