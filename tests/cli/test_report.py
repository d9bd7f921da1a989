"""`sparsedet report`: one HTML page about a workspace."""

from pathlib import Path

import pytest

from sparsedet.annotations import write_coco
from sparsedet.integrations.files import FilesTool
from sparsedet.loop.workspace import Workspace
from tests.cli.command import sparsedet, sparsedet_here
from tests.integrations.files.samples import write_project
from tests.reporting.page import Page


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project's three images and three annotations, pulled into `work`."""
    write_project(tmp_path / "cars")
    workspace = Workspace(tmp_path / "work")
    pulled = FilesTool(str(tmp_path)).pull("cars", workspace.images)
    write_coco(pulled, workspace.annotations)
    return workspace


def test_a_page_is_written_into_the_workspace_or_elsewhere(
    workspace: Workspace, tmp_path: Path
) -> None:
    result = sparsedet("report", "work", cwd=tmp_path)
    assert result.status == 0, result.err
    path = workspace.root / "report.html"
    assert f"wrote work/report.html; open it in a browser: {path.resolve().as_uri()}" in result.err
    page = Page(path)
    assert "Annotation rounds: work" in page.text
    assert "3 annotations on 3 images" in page.text
    assert [image["alt"] for image in page.images] == ["day/a.png: 2 human", "night/b.png: 1 human"]

    words = ("--json", "-o", "pages/cars.html", "--title", "Cars", "--pictures", "1")
    result = sparsedet_here("report", "work", *words, cwd=tmp_path)
    assert result.status == 0, result.err
    assert result.json() == {"report": str((tmp_path / "pages/cars.html").resolve())}
    page = Page(tmp_path / "pages/cars.html")
    assert "Cars" in page.text
    assert "Annotation rounds" not in page.text
    assert len(page.images) == 1


def test_what_can_not_be_reported_is_one_clear_line(workspace: Workspace, tmp_path: Path) -> None:
    assert sparsedet_here("report", "nowhere", cwd=tmp_path).error() == (
        "nowhere: no annotations.json in this folder: run `sparsedet round nowhere` first"
    )
    assert not (tmp_path / "nowhere").exists()
    assert "is a folder; pass a file" in (
        sparsedet_here("report", "work", "-o", "work", cwd=tmp_path).error()
    )
    assert not (workspace.root / "report.html").exists()
    (tmp_path / "thesis.tex").write_text("years of work")
    error = sparsedet_here("report", "work", "-o", "thesis.tex", cwd=tmp_path).error()
    assert "thesis.tex: already exists and is not a page of sparsedet report" in error
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    words = ("report", "work", "-o", "page.html", "--json")
    assert [sparsedet_here(*words, cwd=tmp_path).status for _ in range(2)] == [0, 0]
