"""`sparsedet convert`: annotated images from one format into another."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError

from .class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from .display import progress_bar
from .options import Json, Split, Strict, complete_formats, complete_targets
from .output import emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.loop.data_sources import MaybeWithImages


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A COCO file, a workspace or project folder, a Pascal VOC folder, a YOLO folder "
            "or its yaml file, or what CVAT, LabelMe, CreateML, Label Studio, Darknet, Open Images "
            "or DOTA have.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="Folder to make; never overwritten.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The format to write: coco, voc, yolo or label-studio.",
            show_default=False,
            autocompletion=complete_targets,
        ),
    ],
    from_format: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The format of SOURCE: coco, voc, yolo, cvat, labelme, createml, label-studio, "
            "open-images or dota. Default: what it looks like.",
            autocompletion=complete_formats,
        ),
    ] = None,
    split: Split = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Image folder of SOURCE, where it is not the usual one."),
    ] = None,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images/--no-images",
            help="Put the images into OUTPUT (hard links where the file system can, else copies), "
            "or leave them out.",
        ),
    ] = True,
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    strict: Strict = False,
    json_output: Json = False,
) -> None:
    """Convert annotations between the formats of tools.

    Nothing is lost that the target can hold; what it can't hold is listed: YOLO and VOC have no
    place for crowd regions, verified negatives, complete images and classes, and ids. OUTPUT holds
    annotations.json and images/ (coco), Annotations/ and JPEGImages/ (voc), data.yaml, images/ and
    labels/ (yolo), or tasks.json and images/ (label-studio).
    """
    from sparsedet.atomic_io import atomic_folder
    from sparsedet.formats import detect_format, load_format, writable_formats
    from sparsedet.loop.data_sources import Reading, read_anything

    marks = MarkOptions.of(complete_classes, image_labels, label_names)
    target = load_format(to)
    if not target.can_write:
        raise SparseDetError(
            f"--to {to}: {target.title} is read only; choose {', '.join(writable_formats())}"
        )
    if output.resolve() == source.resolve():
        raise SparseDetError(f"{output}: is the source itself; choose another folder")
    with progress_bar() as progress:
        name = from_format or detect_format(source)
        reading = Reading(split, strict=strict, files=with_images)
        loaded = read_anything(source, images, reading, format=name, progress=progress)
        loaded = replace(loaded, dataset=marks.apply(loaded.dataset))
        lost = target.losses(loaded.dataset)
        folder = _images(loaded, source) if with_images else None
        with atomic_folder(output) as temporary:
            target.write(loaded.dataset, temporary, images=folder, progress=progress)
    if folder is None and target.needs_images:
        say(
            f"{target.title} can't be read without images: give their folder with --images "
            f"wherever {output} is read, or leave out --no-images"
        )
    if loaded.note:
        say(loaded.note)
    counts = loaded.dataset.counts()
    if json_output:
        emit_json(
            {
                "output": str(output),
                "from": name,
                "to": to,
                "images": len(loaded.dataset.images),
                "boxes": sum(counts.values()),
                "per_class": counts,
                "lost": list(lost),
            }
        )
        return
    title = f"{output}: {len(loaded.dataset.images)} images, from {name} to {to}"
    table(title, ("class", "boxes"), [*counts.items(), ("all classes", sum(counts.values()))])
    if lost:
        say(f"{target.title} can't hold: {'; '.join(lost)}")


def _images(loaded: "MaybeWithImages", source: Path) -> Path:
    """Return the image folder of what was read, in which all images are as annotated."""
    from sparsedet.annotations import check_images

    advice = "give their folder with --images, or leave images out with --no-images"
    folder = loaded.images
    if folder is None:
        raise SparseDetError(f"{source}: where are its images? {advice.capitalize()}")
    names = [image.file_name for image in loaded.dataset.images]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and folder.is_dir():
        raise SparseDetError(
            f"{folder}: {len(missing)} of {len(names)} images are not there (first: {missing[0]}); "
            f"{advice}"
        )
    check_images(loaded.dataset, folder)
    return folder
