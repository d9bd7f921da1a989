"""A connection, and a project of its own for the test that asks for one."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from sparsedet.annotations import Dataset
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.seeding import seed_project
from sparsedet.integrations.label_studio.server import LocalServer
from tests.integrations.label_studio.samples import write_images


@pytest.fixture(scope="session")
def tool(label_studio: LocalServer) -> LabelStudioTool:
    return LabelStudioTool(label_studio.url, api_key=label_studio.api_key)


@dataclass(frozen=True)
class Pulled:
    """A fresh project of three images, pulled."""

    project: str
    dataset: Dataset
    folder: Path


@pytest.fixture
def pulled(tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest) -> Pulled:
    drawn = write_images(tmp_path / "source", count=3)
    title = request.node.name[:40]
    project = seed_project(tool.connection, title, drawn, tmp_path / "source")
    return Pulled(project, tool.pull(project, tmp_path / "images"), tmp_path)
