"""A folder of projects, with one pulled project."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import PushReport
from sparsedet.reviews import ReviewedRegion
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


@pytest.fixture
def judged(pulled: Pulled) -> Pulled:
    """`good` and `near` stay, `near` moved; `wrong` and a human box are deleted; one is drawn."""
    pulled.push()
    night, day = pulled.tool.open_reviews("cars/review")
    by_id = {region.region_id: region for region in [*day.regions, *night.regions]}
    drawn = ReviewedRegion("mine", "bus", (90, 5, 110, 15))
    left = replace(by_id["left"], xyxy=(82, 40, 102, 70))
    day.submit([left, by_id["good"], drawn], complete=True)
    near = replace(by_id["near"], category="bus")
    night.submit([by_id["30"], near], seconds=2.0)
    return pulled
