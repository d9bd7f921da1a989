"""A folder of projects, and one project in it that has been pulled."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.tool import PushReport
from tests.integrations.files.memory import Memory
from tests.integrations.files.samples import mined_boxes, write_project


@dataclass(frozen=True)
class Pulled:
    """A project of three images, pulled."""

    tool: FilesTool
    folder: Path
    dataset: Dataset
    images: Path
    memory: Memory

    def push(self, version: str = "run-1") -> PushReport:
        return self.memory.push(self.dataset, mined_boxes(self.dataset), version)

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
    return Pulled(tool, root / "cars", tool.pull("cars", images), images, Memory(tool))
