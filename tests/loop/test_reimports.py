"""Image ids that name other images now, since servers reuse ids."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from sparsedet.annotations import Dataset, Image
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.reimports import follow_reimports
from tests.loop.small_project import SIZE, SmallProject, picture


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def pulled_as(project: SmallProject, pictures: dict[str, int], *, scale: float = 1) -> Dataset:
    """A pull in which each id (a.png, ...) shows the picture of that number, in another file."""
    images = []
    for number, (tool_id, shown) in enumerate(pictures.items(), start=1):
        pixels = cv2.resize(picture(shown), None, fx=scale, fy=scale)
        name = f"new-{tool_id}"
        assert cv2.imwrite(str(project.workspace.images / name), pixels)
        height, width = pixels.shape[:2]
        images.append(Image(number, name, width, height, tool_id=tool_id))
    return replace(project.dataset, images=tuple(images), boxes=())


def follow(project: SmallProject, ledger: Ledger, pulled: Dataset) -> None:
    follow_reimports(
        ledger,
        project.connections,
        project.source,
        pulled,
        project.workspace.images,
        project.said.append,
    )


def ids_after(project: SmallProject, pulled: Dataset) -> dict[str, str]:
    """Mined box -> id of its image, for the boxes that were right."""
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        return {
            box.region_id.removeprefix("v1-right-"): box.image_tool_id
            for box in ledger.boxes()
            if "right" in box.region_id
        }


def test_ids_that_changed_places(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 2, "b.png": 3, "c.png": 1})
    assert ids_after(project, pulled) == {"a.png": "c.png", "b.png": "a.png", "c.png": "b.png"}
    assert any("3 images were imported again" in line for line in project.said)


def test_an_id_that_was_given_to_another_picture(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 7, "b.png": 2, "c.png": 3})
    assert ids_after(project, pulled) == {"a.png": "-a.png", "b.png": "b.png", "c.png": "c.png"}
    assert any("new content" in line for line in project.said)


def test_an_image_that_could_not_be_read_was_not_imported_again(project: SmallProject) -> None:
    # d.png is a copy of a.png, which is still in the project.
    pulled = pulled_as(project, {"d.png": 1, "b.png": 2, "c.png": 3})
    unread = replace(pulled, unread=frozenset({"a.png"}))
    assert ids_after(project, unread) == {"a.png": "a.png", "b.png": "b.png", "c.png": "c.png"}
    assert ids_after(project, pulled)["a.png"] == "d.png"


def test_the_same_picture_in_another_size_keeps_its_id(project: SmallProject) -> None:
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "c.png": 3}, scale=2)
    assert pulled.images[0].width == 2 * SIZE[0]
    assert ids_after(project, pulled) == {name: name for name in ("a.png", "b.png", "c.png")}


def test_images_that_were_queued_without_boxes_are_known_too(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1", [], queue=[QueueEntry(image.id) for image in project.dataset.images])
    pulled = pulled_as(project, {"a.png": 2, "b.png": 3, "c.png": 1})
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        queued = [image.image_tool_id for image in ledger.queued()]
    assert queued == ["c.png", "a.png", "b.png"]


def test_images_without_boxes_may_have_another_size_too(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1", [], queue=[QueueEntry(image.id) for image in project.dataset.images])
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "c.png": 7}, scale=2)
    with closing(Ledger(project.workspace.ledger)) as ledger:
        follow(project, ledger, pulled)
        queued = [image.image_tool_id for image in ledger.queued()]
    assert queued == ["a.png", "b.png", "-c.png"]


def test_an_image_that_the_choice_leaves_out_is_not_gone(project: SmallProject) -> None:
    """The same picture under another id is another image then."""
    pulled = pulled_as(project, {"a.png": 1, "b.png": 2, "d.png": 3})
    chosen = replace(pulled, left_out=frozenset({"c.png"}))
    assert ids_after(project, chosen) == {"a.png": "a.png", "b.png": "b.png", "c.png": "c.png"}
    assert ids_after(project, pulled)["c.png"] == "d.png"
