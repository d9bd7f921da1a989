"""`sparsedet convert`: convert annotated images between formats."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.wording import counted

from ..class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from ..display import progress_bar
from ..options import Json, Split, Strict, complete_formats, complete_targets
from ..output import emit_json, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparsedet.formats import DatasetFormat
    from sparsedet.loop.data_sources import MaybeWithImages


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A COCO file, a workspace or project folder, a Pascal VOC folder, a YOLO folder "
            "or its yaml file, or an export of CVAT, LabelMe, CreateML, Label Studio, Darknet, "
            "Open Images, VIA or DOTA, or csv files of boxes.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="Folder to create; never overwritten.", show_default=False
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
            "open-images, via, dota or csv. Default: detected.",
            autocompletion=complete_formats,
        ),
    ] = None,
    split: Split = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", help="Image folder of SOURCE. Default: the usual one of the format."
        ),
    ] = None,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images/--no-images",
            help="Put the images into OUTPUT (as hard links if possible, else copies), or leave "
            "them out.",
        ),
    ] = True,
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    strict: Strict = False,
    json_output: Json = False,
) -> None:
    """Convert annotations between file formats.

    Keeps everything that the target format can store, and lists what it can't: YOLO and VOC can't
    store crowd regions, verified negatives, complete images and classes, and ids. Only YOLO keeps
    splits, those of folders. OUTPUT contains annotations.json and images/ (coco), Annotations/ and
    JPEGImages/ (voc), data.yaml, images/ and labels/ (yolo), or tasks.json and images/
    (label-studio).
    """
    from sparsedet.atomic_io import atomic_folder
    from sparsedet.formats import ALL_SPLITS, detect_format, load_format, writable_formats
    from sparsedet.loop.data_sources import Reading, read_anything
    from sparsedet.loop.nested_output import kept_apart

    marks = MarkOptions.of(complete_classes, image_labels, label_names)
    target = load_format(to)
    if not target.can_write:
        raise SparseDetError(
            f"--to {to}: {target.title} can only be read; choose {', '.join(writable_formats())}"
        )
    if output.resolve() == source.resolve():
        raise SparseDetError(f"{output}: is the source itself; choose another folder")
    with progress_bar() as progress:
        name = from_format or detect_format(source)
        reading = Reading(split, strict=strict, files=with_images)
        loaded = read_anything(source, images, reading, format=name, progress=progress)
        loaded = replace(loaded, dataset=marks.apply(loaded.dataset))
        lost = list(target.losses(loaded.dataset))
        folder = _images(loaded, source) if with_images else None
        apart = kept_apart(output, source, images, format=from_format)
        with apart, atomic_folder(output) as temporary:
            target.write(loaded.dataset, temporary, images=folder, progress=progress)
            if split in (None, ALL_SPLITS):
                there = load_format(name).splits(source, images)
                lost += _lost_splits(target, temporary, there, None if folder else loaded.images)
    if folder is None and target.needs_images:
        say(
            f"{target.title} can't be read without images: pass their folder with --images "
            f"when reading {output}, or drop --no-images"
        )
    if loaded.note:
        say(loaded.note)
    stored = target.stored(loaded.dataset)
    counts = stored.counts()
    if json_output:
        emit_json(
            {
                "output": str(output),
                "from": name,
                "to": to,
                "images": len(stored.images),
                "boxes": sum(counts.values()),
                "per_class": counts,
                "lost": lost,
            }
        )
        return
    title = f"{output}: {counted(len(stored.images), 'image')}, from {name} to {to}"
    table(title, ("class", "boxes"), [*counts.items(), ("all classes", sum(counts.values()))])
    if lost:
        say(f"{target.title} can't store: {'; '.join(lost)}")


def _lost_splits(
    target: "DatasetFormat", written: Path, there: "Sequence[str]", images: Path | None
) -> list[str]:
    """Return the splits that a written folder no longer has, as a phrase.

    Args:
        target: the format of the folder.
        written: the folder.
        there: the splits of the source.
        images: the image folder, if it is not in `written`.
    """
    try:
        kept = target.splits(written, images) if there else ()
    except SparseDetError:
        return []  # needs images, and there are none
    gone = [name for name in there if name not in kept]
    return [f"splits: {', '.join(gone)} (convert each with --split)"] if gone else []


def _images(loaded: "MaybeWithImages", source: Path) -> Path:
    """Return the image folder of `loaded`, after checking that it has every annotated image."""
    from sparsedet.annotations import check_images

    advice = "pass their folder with --images, or skip images with --no-images"
    folder = loaded.images
    if folder is None:
        raise SparseDetError(f"{source}: image folder not found: {advice}")
    names = [image.file_name for image in loaded.dataset.images]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and folder.is_dir():
        raise SparseDetError(
            f"{folder}: lacks {len(missing)} of {counted(len(names), 'image')} (first: "
            f"{missing[0]}); {advice}"
        )
    check_images(loaded.dataset, folder)
    return folder
