"""What `sparsedet split` starts from: a file, a folder of any format, or a project to pull."""

from pathlib import Path
from typing import TYPE_CHECKING

from sparsedet.errors import SparseDetError

from .output import progress_bar

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset


def read_source(
    data: Path | None,
    project: str | None,
    url: str | None,
    tool: str,
    images: Path | None,
    pulled: Path,
) -> "tuple[Dataset, str | dict[str, str], Path | None]":
    """Return the full dataset, what `split.json` says about its origin, and its image folder."""
    from sparsedet.annotations import check_images, read_coco
    from sparsedet.formats import detect_format, read_dataset
    from sparsedet.loop.workspace import locate

    if data is not None and project is None:
        if data.is_dir() and detect_format(data) != "coco":
            dataset, folder = read_dataset(data, images=images)
            return dataset, str(data), folder
        file, folder = locate(data, images) if data.is_dir() else (data, images)
        dataset = read_coco(file)
        if folder is not None:
            check_images(dataset, folder)
        return dataset, str(file), folder
    if project is not None and data is None:
        return _pull(project, url, tool, images, pulled)
    raise SparseDetError("give either an annotation file (or a workspace folder) or --project")


def _pull(
    project: str, url: str | None, tool: str, images: Path | None, folder: Path
) -> "tuple[Dataset, dict[str, str], Path]":
    """Pull a project into the workspace `folder`, or its images into `images` where given."""
    from sparsedet.annotations import write_coco
    from sparsedet.loop.settings import Settings, Source
    from sparsedet.loop.workspace import Workspace
    from sparsedet.tool import load_integration

    workspace = Workspace(folder)
    connection = load_integration(tool)(url)
    with progress_bar() as progress:
        cache = images or workspace.images
        dataset = connection.pull(project, cache, progress)
    source = Source(tool=tool, url=connection.url, project=project)
    write_coco(dataset, workspace.annotations)
    workspace.write_settings(Settings(source=source))
    return dataset, source.model_dump(), cache
