"""The tests of merging again, on a real Label Studio."""

from pathlib import Path

import pytest

from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.loop.small_project import SmallProject
from tests.loop.test_merge_undo import (  # noqa: F401 - run here with the project below
    test_a_merge_can_be_taken_back_once,
    test_a_merge_is_taken_back_where_nobody_has_saved_since,
    test_the_rest_of_a_merge_is_taken_back_later,
)
from tests.loop.test_merging import (  # noqa: F401 - run here with the project below
    test_a_conflict_is_resolved_for_one_side,
    test_a_merge_writes_what_training_sees,
    test_conflicts_are_listed_and_left_alone,
    test_one_reviewer_s_overlapping_boxes_are_all_merged,
    test_saving_the_source_without_a_change_is_no_conflict,
)


@pytest.fixture
def project(label_studio: LocalServer, tmp_path: Path) -> SmallProject:
    """Shadows the project in files."""
    project = SmallProject(tmp_path, label_studio)
    project.push("v1")
    return project
