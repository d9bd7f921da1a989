"""Options that several commands share, declared once."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from sparsedet.errors import SparseDetError
from sparsedet.tool import PushMode

DATA_HELP = "COCO file, folder (workspace, Pascal VOC or YOLO), or registered name."

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
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        help="review-project: a project beside the annotated one, for any number of reviewers. "
        "draft: drafts on the annotations themselves, which only your account sees.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The tool's address; with --tool files, the folder of the projects. Default: "
        "LABEL_STUDIO_URL, or this folder.",
    ),
]


def push_mode(text: str) -> PushMode:
    """Return the push mode that `--mode` names."""
    modes: tuple[PushMode, ...] = get_args(PushMode)
    for mode in modes:
        if text == mode:
            return mode
    raise SparseDetError(f"--mode {text}: expected {' or '.join(modes)}")
