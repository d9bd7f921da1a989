"""Which of the places in a ledger are projects that report reviews."""

from pathlib import Path

import pytest

from sparsedet.integrations.label_studio.serve import reviewed_projects
from sparsedet.integrations.label_studio.serve.reviewed_projects import ReviewedProjects
from sparsedet.ledger import Place
from tests.loop.small_project import SmallProject

HERE = "http://here"


def test_lots_are_no_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = SmallProject(tmp_path)
    project.push_round(1, "v1")
    places = [
        Place("label-studio", HERE, "3", "12", "review-project"),
        Place("label-studio", HERE, "3", "1-orange", "sampled"),
    ]
    monkeypatch.setattr(reviewed_projects, "reviewed_places", lambda *arguments: places)
    reviewed = ReviewedProjects(project.workspace.root, HERE)
    assert reviewed.look() == ["3", "12"]
    assert reviewed.look() == []
    assert reviewed.known == ["3", "12"]
