"""A connection, and a separate project for each test that requests one."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import pytest

from sparsedet.annotations import Dataset
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    create_project,
    labelling_config,
    set_up_project,
)
from sparsedet.integrations.label_studio.uploads import upload_files
from sparsedet.push_modes import no_progress
from tests.integrations.label_studio.samples import scene, write_images


@pytest.fixture(scope="session")
def tool(label_studio: LocalServer) -> LabelStudioTool:
    return LabelStudioTool(label_studio.url, api_key=label_studio.api_key)


@dataclass(frozen=True)
class Pulled:
    """A fresh project, pulled."""

    project: str
    dataset: Dataset
    folder: Path


@pytest.fixture
def pulled(tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest) -> Pulled:
    """Three images, all annotated."""
    return _pull(tool, tmp_path, write_images(tmp_path / "source", count=3), request)


@pytest.fixture(scope="session")
def colleague(label_studio: LocalServer) -> Connection:
    """A second account on the server."""
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as browser:
        browser.get("/user/signup/")
        form = {"email": "colleague@example.com", "password": "long-enough-1"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        browser.post("/user/signup/", data=form).raise_for_status()
        token = browser.get("/api/current-user/token").json()["token"]
    return Connection(label_studio.url, token)


@pytest.fixture
def half_annotated(tool: LabelStudioTool, tmp_path: Path, request: pytest.FixtureRequest) -> Pulled:
    """Two images, the second of which nobody has annotated."""
    drawn = write_images(tmp_path / "source", count=2)
    drawn = drawn.with_boxes(box for box in drawn.boxes if box.image_id == 1)
    return _pull(tool, tmp_path, drawn, request)


def _pull(
    tool: LabelStudioTool, folder: Path, drawn: Dataset, request: pytest.FixtureRequest
) -> Pulled:
    title = request.node.name[:40]
    project = set_up_project(tool.connection, title, drawn, folder / "source")
    return Pulled(project, tool.pull(project, folder / "images"), folder)


@pytest.fixture
def project(tool: LabelStudioTool, request: pytest.FixtureRequest) -> int:
    """An empty project with the labels cat and dog."""
    config = labelling_config(["cat", "dog"])
    number: int = create_project(tool.connection, request.node.name[:50], config)
    return number


@pytest.fixture
def address(tool: LabelStudioTool, project: int, tmp_path: Path) -> str:
    """The address of an image in that project."""
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), scene())
    addresses: list[str] = upload_files(tool.connection, project, [path], "uploading", no_progress)
    return addresses[0]
