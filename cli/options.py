"""Shared options, and shell completion of their values.

Completion must be instant: nothing here imports torch or detectron2.
"""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from sparsedet.errors import SparseDetError
from sparsedet.plugins import integration_names
from sparsedet.push_modes import ModeName
from sparsedet.splits import recipe_files
from sparsedet.wording import one_of

if TYPE_CHECKING:
    from sparsedet.loop.settings import ReviewMode

DEFAULT_TOOL = "label-studio"
CHOICE_PANEL = "Part of the project"

DATA_HELP = (
    "COCO file, folder (workspace, COCO, Pascal VOC or YOLO), or name of a published data set in "
    "--data-root."
)


def complete_configs() -> list[str]:
    """Return the names of the training configurations."""
    found = (entry.name for entry in files("sparsedet.configs").iterdir())
    return ["auto", *sorted(n.removesuffix(".yaml") for n in found if n.endswith(".yaml"))]


def complete_devices() -> list[str]:
    """Return the names of devices to train on."""
    from sparsedet.loop.settings import TrainingSettings

    return list(get_args(TrainingSettings.model_fields["device"].annotation))


def complete_exports() -> list[str]:
    """Return what `sparsedet export` can write."""
    return ["onnx", "torchscript"]


def complete_formats() -> list[str]:
    """Return the names of the file formats that are read."""
    from sparsedet.formats import format_names

    return format_names()


def complete_targets() -> list[str]:
    """Return the names of the file formats that are written."""
    from sparsedet.formats import writable_formats

    return writable_formats()


def complete_methods() -> list[str]:
    """Return the names of the training methods."""
    from sparsedet.loop.settings import TrainingSettings

    return list(get_args(TrainingSettings.model_fields["method"].annotation))


def complete_modes() -> list[str]:
    """Return the ways in which mined boxes reach reviewers."""
    return list(get_args(ModeName))


def complete_review_modes() -> list[str]:
    """Return what `review.mode` of a workspace may be."""
    return [*get_args(ModeName), "auto"]


def complete_outputs() -> list[str]:
    """Return what `sparsedet predict` can write."""
    return ["results", "pictures", "video", *(f for f in complete_formats() if f != "coco")]


def complete_recipes() -> list[str]:
    """Return the names of the recipes."""
    return list(recipe_files())


def complete_released() -> list[str]:
    """Return the names of the published split files."""
    from sparsedet.loop.data_sources import RELEASED

    return list(RELEASED)


def complete_splits() -> list[str]:
    """Return the usual names of splits."""
    return ["train", "val", "test", "all"]


def complete_tools() -> list[str]:
    """Return the names of the installed integrations."""
    return integration_names()


View = Annotated[
    int | None,
    typer.Option(
        "--view",
        min=0,
        metavar="NUMBER",
        help="Only the images of this tab of the Data Manager (the number after ?tab= in its URL); "
        "0: all images. Stored in sparsedet.toml, like the following options.",
        rich_help_panel=CHOICE_PANEL,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="LABEL",
        help="Only boxes of this label. Repeatable.",
        rich_help_panel=CHOICE_PANEL,
    ),
]
Annotator = Annotated[
    list[str] | None,
    typer.Option(
        "--annotator",
        metavar="PERSON",
        help="Only annotations by this person (email address or id). Repeatable.",
        rich_help_panel=CHOICE_PANEL,
    ),
]
SkipSkipped = Annotated[
    bool | None,
    typer.Option(
        "--skip-skipped/--no-skip-skipped",
        help="Leave out images that annotators only skipped.",
        rich_help_panel=CHOICE_PANEL,
    ),
]
Control = Annotated[
    str | None,
    typer.Option(
        "--control",
        metavar="NAME",
        help="Name of the control for boxes, if the labelling config has several.",
        rich_help_panel=CHOICE_PANEL,
    ),
]
ShapesOption = Annotated[
    str | None,
    typer.Option(
        "--shapes",
        help="How to read polygons, ellipses and brushes: skip, or boxes (their bounding boxes).",
        rich_help_panel=CHOICE_PANEL,
    ),
]


def given_choice(
    view: int | None,
    only: list[str] | None,
    annotators: list[str] | None,
    skip_skipped: bool | None,
    control: str | None,
    shapes: str | None,
) -> "dict[str, Any]":
    """Return the keys of `[source]` that these options change."""
    known = ("skip", "boxes")
    if shapes is not None and shapes not in known:
        raise SparseDetError(f"--shapes {shapes}: expected {one_of(known)}")
    given = {
        "view": view,
        "only": only or None,
        "annotators": annotators or None,
        "skip_skipped": skip_skipped,
        "control": control,
        "shapes": shapes,
    }
    return {key: value for key, value in given.items() if value is not None}


def data_root_option(panel: str | None = None) -> Any:
    """Return `--data-root`, in a panel of the help."""
    return typer.Option(
        "--data-root",
        envvar="SPARSEDET_DATA",
        help="Folder with the published data sets (split1_30p, coco_val, ...).",
        rich_help_panel=panel,
    )


def tool_option(help: str, panel: str | None = None) -> Any:
    """Return `--tool`, in a panel of the help."""
    return typer.Option("--tool", help=help, autocompletion=complete_tools, rich_help_panel=panel)


def url_option(panel: str | None = None) -> Any:
    """Return `--url`, in a panel of the help."""
    return typer.Option(
        "--url",
        help="URL of the annotation tool; with --tool files, the folder that contains the "
        "projects. Default: the workspace's, if there is one; else LABEL_STUDIO_URL or, with "
        "--tool files, the current folder.",
        rich_help_panel=panel,
    )


def images_option(panel: str | None = None) -> Any:
    """Return `--images`, in a panel of the help."""
    return typer.Option(
        "--images",
        help="Image folder. Default: `images` next to the annotation file.",
        rich_help_panel=panel,
    )


def split_option(panel: str | None = None, default: str = "all images") -> Any:
    """Return `--split`, in a panel of the help."""
    return typer.Option(
        "--split",
        help="Split to use: train, val or test (from data.yaml, ImageSets/Main, or files and "
        f"folders of these names), or all. Default: {default}.",
        autocompletion=complete_splits,
        rich_help_panel=panel,
    )


def strict_option(panel: str | None = None) -> Any:
    """Return `--strict`, in a panel of the help."""
    return typer.Option(
        "--strict",
        help="Refuse data with any fault. Default: leave out or repair faulty entries with a "
        "warning, up to a fifth of the data.",
        rich_help_panel=panel,
    )


TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Take the project over from another workspace or push mode, and withdraw its boxes "
        "that are up for review and untouched.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Images = Annotated[Path | None, images_option()]
Split = Annotated[str | None, split_option()]
Strict = Annotated[bool, strict_option()]
DataRoot = Annotated[Path | None, data_root_option()]
Url = Annotated[str | None, url_option()]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto (CUDA if available), cpu or cuda.",
        autocompletion=complete_devices,
    ),
]
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        help="review-project: a separate project for any number of reviewers. draft: drafts on the "
        "annotations themselves, which only your account sees. sheets: contact sheets with crops "
        "of many images, on which nobody can draw missing boxes. auto: whole images if boxes are "
        "to be drawn on them, contact sheets for all other boxes.",
        autocompletion=complete_review_modes,
    ),
]


def review_mode(text: str) -> "ReviewMode":
    """Return the mode of a workspace that `--mode` names."""
    if text == "auto":
        return "auto"
    if text not in get_args(ModeName):
        raise SparseDetError(f"--mode {text}: expected {one_of(complete_review_modes())}")
    return push_mode(text)


def push_mode(text: str) -> ModeName:
    """Return the push mode that `--mode` names."""
    modes: tuple[ModeName, ...] = get_args(ModeName)
    for mode in modes:
        if text == mode:
            return mode
    raise SparseDetError(f"--mode {text}: expected {one_of(modes)}")


def check_workspace_folder(tool: str, url: str, project: str, folder: Path) -> None:
    """Refuse folders that can't become a workspace, since a pull would damage what is there.

    They are a project's own folder, where a pull would read its own copies, and a folder with
    annotations that no pull has written, which the first pull would replace.

    Args:
        tool: name of the integration; only `files` has projects in folders.
        url: the folder of the projects; empty for the current one.
        project: the project, in it.
        folder: of the workspace.
    """
    from sparsedet.loop.workspace import Workspace, known_owner

    place = (Path(url).expanduser() / project).resolve()
    if tool == "files" and folder.resolve() in (place, place.parent if place.is_file() else place):
        raise SparseDetError(
            f"{folder} is the project itself; choose another folder for the workspace"
        )
    workspace = Workspace(folder)
    # Those besides the annotations of a workspace that lost its settings.
    own = workspace.settings_file, workspace.ledger, workspace.rounds
    is_workspace = known_owner(folder) is not None or any(path.exists() for path in own)
    if workspace.annotations.exists() and not is_workspace:
        raise SparseDetError(
            f"{workspace.annotations}: not written by a pull, which would replace it; choose "
            "another folder for the workspace"
        )
