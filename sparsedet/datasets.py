"""Where annotations and images are: COCO files, workspace folders, and the published names."""

from dataclasses import dataclass
from pathlib import Path

from sparsedet.errors import SparseDetError
from sparsedet.workspace import locate


@dataclass(frozen=True, slots=True)
class DataSource:
    """An annotation file and the folder that its file names are relative to."""

    annotations: Path
    images: Path


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a published dataset lies below the data root."""

    annotations: str
    images: str


_COCO = [f"split{group}_{dropped}p" for group in (1, 2, 3) for dropped in (30, 50, 70)]
_VOC = [f"split4_{rule}" for rule in ("easy", "hard", "extreme")]
_VOC += [f"split5_{dropped}p" for dropped in (30, 40, 50)]

PUBLISHED: dict[str, _Layout] = {
    **{name: _Layout(f"splits/{name}.json", "coco/train2017") for name in _COCO},
    **{name: _Layout(f"splits/{name}.json", "voc") for name in _VOC},
    "coco_val": _Layout("coco/annotations/instances_val2017.json", "coco/val2017"),
    "voc_test": _Layout("splits/voc_test.json", "voc"),
}
"""The dataset names of the published commands: 15 sparse splits and two test sets."""


def resolve(data: str, images: Path | None = None, data_root: Path | None = None) -> DataSource:
    """Return annotations and images of a COCO file, a workspace folder or a published name.

    Raises:
        SparseDetError: when nothing is there, saying where it was looked for.
    """
    path = Path(data)
    if data in PUBLISHED and not path.exists():
        return _published(data, images, data_root)
    if not path.exists():
        raise SparseDetError(
            f"{data}: neither a file or folder nor a registered name ({', '.join(PUBLISHED)})"
        )
    return DataSource(*locate(path, images))


def _published(name: str, images: Path | None, data_root: Path | None) -> DataSource:
    if data_root is None:
        raise SparseDetError(f"{name}: give the folder of the datasets (--data-root)")
    layout = PUBLISHED[name]
    source = DataSource(data_root / layout.annotations, images or data_root / layout.images)
    if not source.annotations.is_file():
        raise SparseDetError(f"{name}: {source.annotations} is missing")
    return source
