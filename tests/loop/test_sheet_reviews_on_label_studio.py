"""Contact sheets on a real server."""

from pathlib import Path

import pytest

from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.uploads import list_uploads
from tests.loop.small_project import SmallProject
from tests.loop.test_sheet_reviews import (
    open_sheets,
    push,
    test_a_newer_model_s_sheets_replace_those_that_nobody_reviewed,  # noqa: F401 - run here
    test_a_person_s_work_on_a_sheet_lands_on_the_images,  # noqa: F401
    test_boxes_that_move_between_sheets_and_images_are_up_once,  # noqa: F401
    test_what_a_sheet_leaves_undecided_comes_up_on_its_image,  # noqa: F401
)

pytestmark = pytest.mark.label_studio


@pytest.fixture
def project(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, label_studio)


def test_pictures_are_uploaded_once_and_go_with_their_sheets(project: SmallProject) -> None:
    review = int(push(project).json()["review_project"])
    (uploaded,) = list_uploads(project.api, review)
    assert push(project).json()["created"] == 0
    assert list_uploads(project.api, review) == [uploaded]
    assert len(open_sheets(project)) == 1
    undo = project.command("push", "--undo", "--data", project.workspace.root, "--json")
    assert undo.json()["tasks"] == 1
    assert list_uploads(project.api, review) == []
