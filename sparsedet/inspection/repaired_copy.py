"""A repaired copy of a dataset: its usable part as COCO, and a report of the rest.

The folder has `annotations.json`, or `train.json`, `val.json` and `test.json` for datasets with
splits (and `others.json` if images are in none), the images in `images/`, and `report.json` with
every fault. Every command reads it.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset, Image, write_coco
from sparsedet.atomic_io import atomic_folder, write_json
from sparsedet.errors import SparseDetError
from sparsedet.formats import load_format
from sparsedet.inspection.inspection import Inspection, repeated_boxes
from sparsedet.push_modes import Progress, no_progress

ANNOTATIONS, REPORT = "annotations.json", "report.json"
_OTHERS = "others"
"""Name, without suffix, of the file of images in no split."""


def write_copy(
    inspection: Inspection, folder: Path, *, progress: Progress = no_progress
) -> Mapping[str, int]:
    """Write a repaired copy of a dataset; images are linked if the file system supports it.

    Args:
        inspection: the inspection's result.
        folder: the folder to create; never overwritten.
        progress: called for progress reports.

    Returns:
        Name of each annotation file -> number of boxes.

    Raises:
        SparseDetError: when the folder has other content, or contains the source.
    """
    source = inspection.source.resolve()
    if folder.resolve() in (source, *source.parents):
        raise SparseDetError(f"{folder}: contains the data itself; choose another folder")
    whole = inspection.whole
    dataset = _without_repeated(whole.dataset)
    written: dict[str, Dataset] = {}
    with atomic_folder(folder) as temporary:
        load_format("coco").write(dataset, temporary, images=whole.images, progress=progress)
        if inspection.splits:
            (temporary / ANNOTATIONS).unlink()
            for name, part in _by_split(dataset, inspection).items():
                written[f"{name}.json"] = part
                write_coco(part, temporary / f"{name}.json")
        else:
            written[ANNOTATIONS] = dataset
        write_json(temporary / REPORT, _report(inspection, written), indent=1)
    return {name: _boxes(part) for name, part in written.items()}


def _by_split(dataset: Dataset, inspection: Inspection) -> dict[str, Dataset]:
    """Return the parts of a dataset; an image in several splits is kept in the first one.

    Lists of splits need not have all images.
    """
    folder = inspection.whole.images
    split_of: dict[Path, str] = {}
    for name, part in inspection.splits.items():
        for image in part.dataset.images:
            # Without images, the names in COCO files begin with their split's.
            own = (part.images / image.file_name,) if part.images else ()
            others = (Path(image.file_name), Path(name, image.file_name))
            for path in own or others:
                split_of.setdefault(path.resolve(), name)
    found: dict[str, list[Image]] = {name: [] for name in inspection.splits}
    for image in dataset.images:
        path = Path(image.file_name) if folder is None else folder / image.file_name
        found.setdefault(split_of.get(path.resolve(), _OTHERS), []).append(image)
    return {name: dataset.with_images(images) for name, images in found.items()}


def _without_repeated(dataset: Dataset) -> Dataset:
    repeated = {box.id for box in repeated_boxes(dataset)}
    # Not `with_boxes`: no object loses its box, so classes stay complete.
    return replace(dataset, boxes=tuple(box for box in dataset.boxes if box.id not in repeated))


def _boxes(dataset: Dataset) -> int:
    """Return the number of boxes, as `inspect` counts them: without crowd regions."""
    return sum(dataset.counts().values())


def _report(inspection: Inspection, written: Mapping[str, Dataset]) -> dict[str, Any]:
    return {
        "source": str(inspection.source),
        "format": inspection.format,
        "written": {
            name: {"images": len(dataset.images), "boxes": _boxes(dataset)}
            for name, dataset in written.items()
        },
        "faults": inspection.faults.as_json(),
    }
