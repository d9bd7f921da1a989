"""Pulling from a real server: which annotations count, and which are dropped."""

import logging
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import PIL.Image
import pytest

from sparsedet.annotations import check_images
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    import_tasks,
)
from sparsedet.integrations.label_studio.uploads import upload_files
from sparsedet.push_modes import ToReview, no_progress
from sparsedet.reviews import AnnotationRule
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import mode_of
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    PLACE,
    complete_mark,
    mined_boxes,
    rectangle,
    scene,
)

pytestmark = pytest.mark.label_studio


def annotation(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": list(regions), **more}


def test_images_and_boxes_arrive(pulled: Pulled) -> None:
    dataset = pulled.dataset
    check_images(dataset, pulled.folder / "images")
    assert [image.id for image in dataset.images] == sorted(image.id for image in dataset.images)
    assert [image.tool_id for image in dataset.images] == [str(i.id) for i in dataset.images]
    assert [category.name for category in dataset.categories] == ["orange", "parcel"]
    for boxes in dataset.boxes_by_image.values():
        assert {box.tool_id: box.category_id for box in boxes} == {
            name: category for name, (category, _) in DRAWN_BY_PEOPLE.items()
        }
        for box in boxes:
            assert box.xyxy == pytest.approx(DRAWN_BY_PEOPLE[box.tool_id or ""][1])
            assert box.origin == "human"


def test_a_personal_access_token_does_the_same(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    token = tool.connection.client.tokens.create().token
    assert token
    by_token = LabelStudioTool(label_studio.url, api_key=token)
    images = pulled.folder / "again"
    assert by_token.pull(pulled.project, images) == pulled.dataset
    check_images(pulled.dataset, images)


def test_an_empty_project_is_an_empty_dataset(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    dataset = tool.pull(str(project), tmp_path / "images")
    assert (dataset.images, dataset.boxes) == ((), ())
    assert [category.name for category in dataset.categories] == ["cat", "dog"]


def test_a_turned_photo_has_its_upright_size(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    photo = PIL.Image.fromarray(np.zeros((100, 200, 3), np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the browser shows it turned by 90 degrees
    photo.save(tmp_path / "turned.jpg", exif=exif)
    address = upload_files(
        tool.connection, project, [tmp_path / "turned.jpg"], "uploading", no_progress
    )[0]
    task = {"data": {"image": address}, "annotations": [annotation(rectangle())]}
    import_tasks(tool.connection, project, [task])
    dataset = tool.pull(str(project), tmp_path / "images")
    assert (dataset.images[0].width, dataset.images[0].height) == (100, 200)
    assert dataset.boxes[0].xyxy == pytest.approx((10, 20, 30, 60))
    check_images(dataset, tmp_path / "images")


def test_files_uploaded_by_hand_are_found(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    path = tmp_path / "by hand.jpg"
    cv2.imwrite(str(path), scene())
    with path.open("rb") as file:
        form = {"file": (path.name, file, "image/jpeg")}
        where = f"api/projects/{project}/import"
        tool.connection.post_files(where, {}, form, "uploading")
    dataset = tool.pull(str(project), tmp_path / "images")
    assert len(dataset.images) == 1
    check_images(dataset, tmp_path / "images")


def test_odd_annotations_are_counted_in_one_warning(
    tool: LabelStudioTool,
    project: int,
    address: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = [
        rectangle("bird", id="a"),
        rectangle(id="b", value={"rectanglelabels": ["cat"], "x": 1, "y": 1, "height": 5}),
        rectangle(id="c", value={**PLACE, "x": "12", "rectanglelabels": ["cat"]}),
        rectangle(id="d", value=PLACE),
        rectangle(id="e", value={**PLACE, "rectanglelabels": ["cat", "dog"]}),
        rectangle(id="f", type="polygonlabels", from_name="polygon", value={"points": [[1, 2]]}),
        rectangle(id="g", value={**PLACE, "x": 90, "rectanglelabels": ["dog"]}),
        rectangle(id="h", value={**PLACE, "x": 40, "rotation": 45, "rectanglelabels": ["dog"]}),
        rectangle("dog", id="i", meta={"text": ["unsure"]}),
        rectangle("dog", id="j", meta={"text": ["unsure"]}, origin="prediction-changed"),
    ]
    data = {"image": address}
    tasks = [{"data": data}, {"data": data, "annotations": [annotation(*odd)]}]
    first, second = import_tasks(tool.connection, project, tasks)
    with caplog.at_level(logging.WARNING):
        dataset = tool.pull(str(project), tmp_path / "images")
    assert [box.tool_id for box in dataset.boxes] == ["g", "h", "i"]
    assert {box.image_id for box in dataset.boxes} == {second}
    assert [image.id for image in dataset.images] == [first, second]
    assert [record.getMessage() for record in caplog.records] == [
        f"project {project}: regions not used as they are: dropped 7 (1 marked unsure, "
        "1 no label, 1 no width, "
        "1 polygon, 1 several labels, 1 unknown label 'bird', 1 x is not a number), changed 2 "
        "(1 clipped at the image's edge, 1 rotated, now the upright box around it); "
        f'the first in task {second}; [source] shapes = "boxes" reads polygons, ellipses and '
        "brushes as their boxes"
    ]


def test_which_annotation_of_a_task_counts(
    tool: LabelStudioTool,
    project: int,
    address: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = {"image": address}
    ids = import_tasks(
        tool.connection,
        project,
        [
            {"data": data, "annotations": [annotation(rectangle(id="old")), annotation()]},
            {
                "data": data,
                "annotations": [annotation(rectangle(id="skipped"), was_cancelled=True)],
            },
            {"data": data, "annotations": [annotation(rectangle(id="all"), complete_mark())]},
            {"data": data},
        ],
    )
    two_people, skipped, complete, draft = ids
    newest = tool.connection.client.annotations.create(two_people, result=[rectangle(id="new")])
    assert newest.id
    where = f"api/tasks/{draft}/drafts"
    tool.connection.post_json(where, annotation(rectangle(id="draft")), "saving a draft")
    with caplog.at_level(logging.WARNING):
        dataset = tool.pull(str(project), tmp_path / "images")
    boxes = {(box.image_id, box.tool_id) for box in dataset.boxes}
    assert boxes == {(two_people, "new"), (complete, "all")}
    assert [image.id for image in dataset.images if image.exhaustive] == [complete]
    assert skipped in dataset.image_by_id
    assert [record.getMessage() for record in caplog.records] == [
        f"project {project}: 1 of 4 tasks have several annotations; used by [source] "
        'annotations = "ground-truth-first": 1 newest'
    ]


def test_what_several_people_drew(
    label_studio: LocalServer,
    tool: LabelStudioTool,
    project: int,
    address: str,
    tmp_path: Path,
    colleague: Connection,
) -> None:
    """A star counts first, and an annotation without boxes hides nobody's."""
    (task,) = import_tasks(tool.connection, project, [{"data": {"image": address}}])
    apart = {**PLACE, "x": 60.0, "rectanglelabels": ["dog"]}
    here = {**PLACE, "rectanglelabels": ["cat"]}
    people = [(tool.connection, "a", here), (colleague, "b", here), (tool.connection, "c", apart)]
    for person, name, value in people:
        drawn = rectangle(id=name, value=value)
        person.post_json(f"api/tasks/{task}/annotations/", {"result": [drawn]}, "annotating")
    colleague.post_json(f"api/tasks/{task}/annotations/", {"result": []}, "annotating")

    def pulled(rule: AnnotationRule) -> set[str | None]:
        options = ToolOptions(annotations=rule)
        reader = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
        return {box.tool_id for box in reader.pull(str(project), tmp_path / "images").boxes}

    before = [pulled(rule) for rule in get_args(AnnotationRule)]
    assert before == [{"c"}, set(), {"b", "c"}, set()]
    first = min(a.id or 0 for a in tool.connection.client.annotations.list(task))
    colleague.patch_json(f"api/annotations/{first}/", {"ground_truth": True}, "starring")
    (empty,) = [a for a in tool.connection.client.annotations.list(task) if not a.result]
    tool.connection.client.annotations.update(empty.id or 0, result=[])
    after = [pulled(rule) for rule in get_args(AnnotationRule)]
    assert after == [{"a"}, set(), {"a"}, {"a"}]


def relabel(tool: LabelStudioTool, project: int, *changes: tuple[str, str]) -> None:
    xml = tool.connection.client.projects.get(project).label_config or ""
    for old, new in changes:
        assert old in xml
        xml = xml.replace(old, new)
    tool.connection.client.projects.update(project, label_config=xml)


@pytest.mark.parametrize(
    ("change", "rename", "name"),
    [
        ('value="cat" alias="c"', {}, "cat"),
        ('value="kitten" alias="cat"', {}, "kitten"),
        ('value="kitten"', {"cat": "kitten"}, "kitten"),
        ('value="kitten" alias="k"', {"cat": "k"}, "kitten"),
    ],
)
def test_boxes_are_found_after_their_label_was_changed(
    label_studio: LocalServer,
    tool: LabelStudioTool,
    project: int,
    address: str,
    tmp_path: Path,
    change: str,
    rename: dict[str, str],
    name: str,
) -> None:
    drawn = annotation(rectangle(id="a"), rectangle("dog", id="b"))
    import_tasks(tool.connection, project, [{"data": {"image": address}, "annotations": [drawn]}])
    relabel(tool, project, ('value="cat"', change))
    options = ToolOptions(rename=rename)
    reader = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    dataset = reader.pull(str(project), tmp_path / "images")
    names = {category.id: category.name for category in dataset.categories}
    assert {box.tool_id: names[box.category_id] for box in dataset.boxes} == {"a": name, "b": "dog"}
    stored = "cat" if "cat" not in name else "c"
    assert stored in dataset.categories[0].aliases


def test_a_pull_that_would_lose_most_boxes_is_refused(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    cats = [rectangle(id=f"c{number}") for number in range(3)]
    drawn = annotation(*cats, rectangle("dog", id="d"), rectangle("cow", id="e"))
    import_tasks(tool.connection, project, [{"data": {"image": address}, "annotations": [drawn]}])
    relabel(tool, project, ('value="cat"', 'value="kitten"'))
    with pytest.raises(ToolError) as caught:
        tool.pull(str(project), tmp_path / "images")
    assert str(caught.value) == (
        f"project {project}: 4 of 5 boxes have labels that its labelling config does not have: "
        "cat (3), cow (1); map them to their new names in sparsedet.toml, [labels] rename = "
        '{"cat" = "...", "cow" = "..."} ("" leaves a label out)'
    )
    options = ToolOptions(rename={"cat": ""})
    reader = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    boxes = reader.pull(str(project), tmp_path / "images").boxes
    assert [box.tool_id for box in boxes] == ["d"]


def test_a_review_project_is_no_source(tool: LabelStudioTool, pulled: Pulled) -> None:
    mined = mined_boxes(pulled.dataset)
    report = mode_of(tool).push(pulled.project, ToReview(pulled.dataset, mined, "run-1"))
    for read in (tool.summary, lambda number: tool.pull(number, pulled.folder / "other")):
        with pytest.raises(ToolError, match=f"is the review project of project {pulled.project}"):
            read(report.review_project)


def test_what_a_task_says_of_its_image_is_kept(
    tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    keys = {"patient": "p7", "frame": 12}
    left_out = {"mask": "https://storage.example.com/mask?signature=1", "id": 5, "tags": ["a"]}
    import_tasks(tool.connection, project, [{"data": {"image": address, **keys, **left_out}}])
    dataset = tool.pull(str(project), tmp_path / "images")
    assert [image.extra for image in dataset.images] == [keys]


def test_another_control_for_the_complete_mark(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    client = tool.connection.client
    xml = client.projects.get(project).label_config or ""
    client.projects.update(project, label_config=xml.replace("sparsedet_complete", "done"))
    task = {"data": {"image": address}, "annotations": [annotation(complete_mark("done"))]}
    import_tasks(tool.connection, project, [task])
    options = ToolOptions(complete_control="done")
    named = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    for reader, complete in ((tool, False), (named, True)):
        summary = reader.summary(str(project))
        assert (summary.images, summary.labels) == (1, ("cat", "dog"))
        assert summary.has_complete_control is complete
        (image,) = reader.pull(str(project), tmp_path / "images").images
        assert image.exhaustive is complete


def test_a_project_that_is_not_there(tool: LabelStudioTool, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"found nothing \(reading project 987654\)"):
        tool.pull("987654", tmp_path / "images")
