"""Pulling a project folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import ToReview
from sparsedet.sheets.arrangement import arrange
from sparsedet.sheets.drawing import draw_sheets
from sparsedet.tool import ToolOptions
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.formats.datasets import write_image
from tests.integrations.files.memory import review_mode
from tests.integrations.files.samples import PROJECT, mined_boxes, read, write


def test_what_is_pulled(pulled: Pulled) -> None:
    dataset = pulled.dataset
    assert [(i.id, i.tool_id, i.exhaustive) for i in dataset.images] == [
        (4, "day/a.png", False),
        (9, "night/b.png", False),
        (2, "empty.png", True),
    ]
    assert [(b.tool_id, b.origin) for b in dataset.boxes] == [
        ("11", "human"),
        ("left", "human"),
        ("30", "accepted"),
    ]
    assert dataset.boxes[0].extra == {"occluded": True}
    assert [box.xyxy for box in dataset.verified_negatives] == [(60, 10, 80, 30)]
    summary = pulled.tool.summary("cars")
    assert (summary.title, summary.images, summary.labels) == ("cars", 3, ("car", "bus"))


def test_a_linked_file_has_its_images_next_to_the_link(pulled: Pulled, tmp_path: Path) -> None:
    shared = tmp_path / "shared" / "all.json"
    shared.parent.mkdir()
    pulled.annotations.rename(shared)
    (pulled.folder / "mine.json").symlink_to(shared)
    again = pulled.tool.pull("cars/mine.json", tmp_path / "other" / "images")
    assert again.images == pulled.dataset.images
    review_mode(pulled.tool).push("cars/mine.json", ToReview(again, mined_boxes(again), "run-1"))
    assert (pulled.folder / "mine-review" / "run-1" / "to_review.json").is_file()
    assert [path.name for path in shared.parent.iterdir()] == ["all.json"]


def test_images_are_links_and_follow_the_project(pulled: Pulled) -> None:
    source, copy = pulled.folder / "images" / "day/a.png", pulled.images / "day/a.png"
    assert copy.samefile(source)
    kept = (pulled.images / "night/b.png").stat().st_mtime_ns
    source.unlink()
    assert cv2.imwrite(str(source), np.full((80, 120, 3), 200, dtype=np.uint8))
    pulled.tool.pull("cars", pulled.images)
    assert copy.read_bytes() == source.read_bytes()
    assert (pulled.images / "night/b.png").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("image", "change", "changes"),
    [
        pytest.param(
            "day/a.png", lambda c: c["annotations"][0].update(bbox=[11, 10, 20, 20]), True
        ),
        pytest.param("day/a.png", lambda c: c["annotations"][0].update(category_id=2), True),
        pytest.param("day/a.png", lambda c: c["annotations"].pop(0), True),
        pytest.param("day/a.png", lambda c: c["images"][0].update(exhaustive=True), True),
        pytest.param("day/a.png", lambda c: c["annotations"].reverse(), False),
        pytest.param("day/a.png", lambda c: c["annotations"].pop(2), False),
        pytest.param("day/a.png", lambda c: c["categories"].reverse(), False),
    ],
)
def test_a_version_changes_with_the_annotations_of_its_image(
    pulled: Pulled, image: str, change: Callable[[Any], object], changes: bool
) -> None:
    content = read(pulled.annotations)
    change(content)
    write(pulled.annotations, content)
    again = pulled.tool.pull("cars", pulled.images)
    before, after = (
        {i.tool_id: i.tool_version for i in dataset.images}[image]
        for dataset in (pulled.dataset, again)
    )
    assert (before != after) is changes


def test_a_copied_box_gets_an_id_of_its_own(pulled: Pulled) -> None:
    content = read(pulled.annotations)
    content["annotations"].append({**content["annotations"][1], "id": 77, "origin": "mined"})
    write(pulled.annotations, content)
    boxes = pulled.tool.pull("cars", pulled.images).boxes
    assert ["left-77", "accepted"] in [[box.tool_id, box.origin] for box in boxes]


def test_a_project_is_named_in_many_ways(pulled: Pulled, tmp_path: Path) -> None:
    other = FilesTool(str(tmp_path))
    here = FilesTool(str(pulled.folder))
    for tool, name in [
        (here, "."),
        (other, "projects/cars"),
        (other, str(pulled.folder)),
        (other, str(pulled.annotations)),
    ]:
        assert tool.pull(name, pulled.images) == pulled.dataset


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("../projects/cars", "leaves"),
        ("cars/../../x", "leaves"),
        ("", "is not the name"),
        ("a\0b", "is not the name"),
        ("boats", "no project here"),
    ],
)
def test_names_of_no_project(pulled: Pulled, project: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        pulled.tool.pull(project, pulled.images)


def test_broken_projects_name_what_is_broken(pulled: Pulled) -> None:
    (pulled.folder / "images" / "empty.png").unlink()
    with pytest.raises(AnnotationError, match=r"image id 2: .*empty\.png: no such image file"):
        pulled.tool.pull("cars", pulled.images)
    content = json.loads(json.dumps(PROJECT))
    content["images"][1]["width"] = 110
    write(pulled.annotations, {**content, "images": content["images"][:2]})
    with pytest.raises(AnnotationError, match=r"image id 9: .* is 120 x 80 pixels upright"):
        pulled.tool.pull("cars", pulled.images)
    pulled.annotations.write_text("{", encoding="utf-8")
    with pytest.raises(SparseDetError, match=r"annotations\.json: not valid JSON"):
        pulled.tool.pull("cars", pulled.images)


def test_an_error_says_whether_a_copy_can_be_repaired(pulled: Pulled) -> None:
    """Nothing is left out of a project: merges write the whole file."""
    content = json.loads(json.dumps(PROJECT))
    content["annotations"][0]["id"] = "first"
    write(pulled.annotations, content)
    for look in (pulled.tool.summary, lambda name: pulled.tool.pull(name, pulled.images)):
        with pytest.raises(AnnotationError, match=r"no integer id .*; .*inspect .* with --fix"):
            look("cars")
    pulled.annotations.write_text("{", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"not valid JSON((?!--fix).)*$"):
        pulled.tool.summary("cars")


@pytest.mark.parametrize("name", ["boats", "boats/boxes.csv"])
def test_files_that_merges_can_not_write_are_no_project(pulled: Pulled, name: str) -> None:
    folder = pulled.folder.parent / "boats"
    write_image(folder / "a.jpg")
    rows = "filename,class,xmin,ymin,xmax,ymax\na.jpg,boat,10,20,40,60\n"
    (folder / "boxes.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(ToolError, match=r"CSV can be read, but .* convert .*boats.* --to coco"):
        pulled.tool.pull(name, pulled.images)


def test_a_pull_into_the_project_itself_is_refused(pulled: Pulled) -> None:
    for images in ("images", "images/images"):
        with pytest.raises(ToolError, match="is the project itself"):
            pulled.tool.pull("cars", pulled.folder / images)


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no such folder"):
        FilesTool(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("rename", [{"car": "bus", "bus": "truck"}, {"car": "bus", "bus": "car"}])
def test_no_name_is_old_and_current(pulled: Pulled, rename: dict[str, str]) -> None:
    """Boxes that were pushed as the current `bus` would become trucks with the next pull."""
    with pytest.raises(ToolError, match=r"maps 'car' to 'bus', and 'bus' to .* in the files"):
        FilesTool(pulled.tool.url, ToolOptions(rename=rename))
    FilesTool(pulled.tool.url, ToolOptions(rename={"car": "bus", "bus": "bus", "van": ""}))


XML = (
    "<annotation><object><name>car</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>30</xmax>"
    "<ymax>30</ymax></bndbox></object></annotation>"
)


@pytest.mark.parametrize("labels", ["a.xml", "a.txt"])
def test_contact_sheets_are_no_images_of_the_project(tmp_path: Path, labels: str) -> None:
    """LabelImg keeps labels next to the images, so the whole folder is looked through."""
    project = tmp_path / "cars"
    write_image(project / "a.png")
    (project / labels).write_text(XML if labels.endswith("xml") else "0 0.5 0.5 0.2 0.2\n")
    if labels.endswith("txt"):
        (project / "classes.txt").write_text("car\n")
    tool = FilesTool(str(tmp_path))
    dataset = tool.pull("cars", tmp_path / "images")
    mined = [MinedBox("new", dataset.images[0].id, 1, (60, 40, 90, 70), 0.9, 0.5)]
    layouts = arrange(mined, dataset)
    sheets = draw_sheets(layouts, dataset, tmp_path / "images", tmp_path / "drawn")
    wanted = ToReview(dataset, mined, "run-1", sheets=sheets)
    tool.push_modes["sheets"].push("cars", wanted)
    assert list(project.rglob("sheet-*.jpg"))
    assert tool.pull("cars", tmp_path / "images") == dataset


def test_an_image_whose_name_is_not_utf8(tmp_path: Path) -> None:
    """Archives of old Windows programs have such names; a COCO file can't hold them."""
    project = tmp_path / "cars"
    write_image(project / "a.png")
    (project / "a.png").rename(project / os.fsdecode(b"caf\xe9.png"))
    (project / os.fsdecode(b"caf\xe9.txt")).write_text("0 0.5 0.5 0.2 0.2\n")
    (project / "classes.txt").write_text("car\n")
    with pytest.raises(AnnotationError, match=r"'caf\\udce9.png' is not UTF-8; rename"):
        FilesTool(str(tmp_path)).pull("cars", tmp_path / "images")
