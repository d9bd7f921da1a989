"""What a round knows of its candidates before anybody has reviewed them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sparsedet.annotations import Image, write_coco
from sparsedet.completeness.object_count import Count
from sparsedet.loop.round_mining import _missing
from sparsedet.loop.settings import Settings
from tests.loop.small_project import SmallProject


def test_images_added_since_the_previous_round_may_lack_more(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    workspace, settings = project.workspace, Settings(source=project.source)
    write_coco(project.dataset, workspace.round(1).annotations)
    images = (*project.dataset.images, *(Image(n, f"{n}.png", 200, 160) for n in range(10, 16)))
    grown = replace(project.dataset, images=images)
    previous: Any = SimpleNamespace(missing=Count(3.0, 0.1))

    def missing(dataset: Any) -> Count | None:
        return _missing(previous, workspace, workspace.round(2), dataset, settings)

    assert missing(project.dataset) == previous.missing
    assert (found := missing(grown)) is not None
    # Three images have one box each, and lack as many.
    assert found.mean == 3.0 + 6 * 2
    assert found.spread > 0.5
    assert _missing(None, workspace, workspace.round(1), grown, settings) is None
