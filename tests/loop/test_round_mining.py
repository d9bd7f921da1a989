"""What a round knows of its candidates before anybody has reviewed them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sparsedet.annotations import Image, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.object_count import Count
from sparsedet.loop.round_mining import _missing, mined_line
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


def test_mined_and_held_back_boxes_are_counted_by_class() -> None:
    def box(category: int, expected: float) -> MinedBox:
        return MinedBox("id", 1, category, (0, 0, 9, 9), 0.9, 0.5, expected)

    found: Any = SimpleNamespace(
        mined=(box(1, 0.8), box(2, 0.9), box(2, 0.75)),
        held_back={1: 3, 2: 0, 3: 4},
        held_back_right={1: 0.9, 2: 0.0, 3: 1.3},
    )

    assert mined_line(found, {1: "king", 2: "queen", 3: "jack"}) == (
        "mined 3 boxes not explained by an annotation (queen 2, king 1); each has an expected "
        "precision of 0.75 or more; held back as less likely: 7 (jack 4, king 3), about 2 of them "
        "right"
    )
    found.mined, found.held_back, found.held_back_right = (), {1: 0}, {1: 0.0}
    assert mined_line(found, {1: "king"}) == (
        "mined 0 boxes not explained by an annotation; held back as less likely: 0, about 0 of "
        "them right"
    )
