"""What `sparsedet review` reports."""

import json
from pathlib import Path

from sparsedet.loop.settings import change_source
from tests.loop.small_project import FREE, SmallProject, draw


def test_drawn_boxes_are_counted_by_the_rule_of_the_settings(tmp_path: Path) -> None:
    """Two people drew a box each, and the workspace unites what they left."""
    project = SmallProject(tmp_path)
    change_source(project.workspace.settings_file, {"annotations": "union"})
    project.push("v1")
    project.review("a.png", draw(FREE))
    reviewed = tmp_path / project.review_project / "v1" / "reviewed.json"
    content = json.loads(reviewed.read_text())
    content["annotations"][-1]["bbox"] = [2, 100, 30, 30]
    reviewed.with_name("reviewed-ann.json").write_text(json.dumps(content))
    shown = project.command("review", project.workspace.root, "--json").json()
    status = project.command("status", project.workspace.root, "--json").json()
    assert shown["drawn"] == status["all"]["drawn"] == 2
