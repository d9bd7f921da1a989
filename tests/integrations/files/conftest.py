"""A folder of projects, and one project in it that has been pulled."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.tool import PushedImage, PushReport
from tests.integrations.files.samples import mined_boxes, write_project


@dataclass(frozen=True)
class Pulled:
    """A project of three images, pulled."""

    tool: FilesTool
    folder: Path
    dataset: Dataset
    images: Path

    def push(self, version: str = "run-1") -> PushReport:
        report: PushReport = self.tool.push(
            "cars", self.dataset, mined_boxes(self.dataset), model_version=version
        )
        return report

    def pushed(self, version: str = "run-1") -> list[PushedImage]:
        """What the ledger would remember of `push`."""
        ids = {image.id: image for image in self.dataset.images}
        regions: dict[str, set[str]] = {}
        for box in mined_boxes(self.dataset):
            regions.setdefault(ids[box.image_id].file_name, set()).add(box.region_id)
        versions = {image.file_name: image.tool_version for image in self.dataset.images}
        return [PushedImage(name, versions[name], frozenset(r)) for name, r in regions.items()]

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations.json"

    def version(self, name: str = "run-1") -> Path:
        return self.folder / "review" / name


@pytest.fixture
def pulled(tmp_path: Path) -> Pulled:
    root = tmp_path / "projects"
    write_project(root / "cars")
    tool = FilesTool(str(root))
    images = tmp_path / "workspace" / "images"
    return Pulled(tool, root / "cars", tool.pull("cars", images), images)
