"""Options that several commands share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, for machines.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", help="Image folder. Default: `images` beside the annotation file."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="SPARSEDET_DATA",
        help="Folder below which registered names (split1_30p, coco_val, ...) are found.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is some), cpu or cuda.")
]
Tool = Annotated[
    str, typer.Option("--tool", help="The annotation tool's integration.", show_default=True)
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The tool's address. Default: LABEL_STUDIO_URL."),
]
