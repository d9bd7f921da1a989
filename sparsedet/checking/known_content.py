"""What the image cache knows of its files, from its index next to the image folder."""

from collections.abc import Mapping
from dataclasses import dataclass

from sparsedet.atomic_io import read_json
from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace


@dataclass(frozen=True, slots=True)
class KnownContent:
    """An image file as it was when it was pulled."""

    bytes: int
    sha256: str


def known_content(workspace: Workspace) -> Mapping[str, KnownContent]:
    """Return file name below `images/` -> its content, of the files that the index knows.

    A pull makes an index that is missing or unusable again, so that is no finding.
    """
    images = workspace.images
    file = images.with_name(f"{images.name}.index.json")
    if not file.is_file():
        return {}
    try:
        rows = read_json(file)["images"]
        return {str(name): KnownContent(int(row[1]), str(row[3])) for name, row in rows.items()}
    except (SparseDetError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return {}
